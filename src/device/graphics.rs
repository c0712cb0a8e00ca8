//! Facts about GPUs from the system's files, without asking a driver.

use std::fs;
use std::path::{Path, PathBuf};

/// GPUs that are plugged in, as far as the system's files tell, whether or not anything can use them.
pub fn gpus_seen() -> Vec<String> {
    let nvidia = nvidia_gpus(Path::new("/proc/driver/nvidia/gpus"));
    let others = pci_gpus(Path::new("/sys/bus/pci/devices"));
    // NVIDIA's driver knows the names; without it there is the maker alone.
    if nvidia.is_empty() {
        others
    } else {
        nvidia.into_iter().chain(others.into_iter().filter(|gpu| !gpu.starts_with("NVIDIA"))).collect()
    }
}

/// The names in `<bus>/information` files of NVIDIA's driver.
fn nvidia_gpus(folder: &Path) -> Vec<String> {
    let model = |path: PathBuf| {
        let text = fs::read_to_string(path.join("information")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Model:").map(str::trim).map(str::to_owned))?;
        Some(if line.starts_with("NVIDIA") { line } else { format!("NVIDIA {line}") })
    };
    entries(folder).into_iter().filter_map(model).collect()
}

/// Display controllers (PCI class 03) by their maker.
fn pci_gpus(folder: &Path) -> Vec<String> {
    let gpu = |path: PathBuf| {
        let read = |name: &str| fs::read_to_string(path.join(name)).map(|text| text.trim().to_owned()).ok();
        // 0300: VGA, 0302: 3D, 0380: other.
        if !read("class")?.starts_with("0x03") {
            return None;
        }
        let maker = match read("vendor")?.as_str() {
            "0x10de" => "NVIDIA GPU",
            "0x1002" => "AMD GPU",
            "0x8086" => "Intel GPU",
            // Virtual displays cannot compute.
            _ => return None,
        };
        Some(maker.to_owned())
    };
    entries(folder).into_iter().filter_map(gpu).collect()
}

/// Sorted; none where the folder is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    paths.sort();
    paths
}

/// What keeps Vulkan from finding a GPU, and what helps; from the system's files.
#[cfg(feature = "wgpu")]
pub(super) fn vulkan_trouble() -> (String, String) {
    let loaders =
        ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let has_loader = loaders.iter().any(|folder| Path::new(folder).join("libvulkan.so.1").exists());
    let drivers = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
    let has_driver = drivers.iter().any(|folder| !entries(Path::new(folder)).is_empty())
        || ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some());
    let nodes: Vec<PathBuf> = entries(Path::new("/dev/dri"))
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("renderD")))
        .collect();
    let closed = nodes.iter().find(|node| fs::OpenOptions::new().read(true).write(true).open(node).is_err());
    if !cfg!(target_os = "linux") {
        ("no adapter was found".to_owned(), "install the GPU's driver".to_owned())
    } else if !has_loader {
        (
            "no Vulkan loader (libvulkan.so.1)".to_owned(),
            "install it, on Debian and Ubuntu: apt install libvulkan1".to_owned(),
        )
    } else if !has_driver {
        (
            "the Vulkan loader has no driver (no icd.d file)".to_owned(),
            "install the GPU's Vulkan driver, on Debian and Ubuntu: apt install mesa-vulkan-drivers, or NVIDIA's"
                .to_owned(),
        )
    } else if let Some(node) = closed {
        (
            format!("no permission for {}", node.display()),
            "add yourself to the group that owns it, often: usermod -aG render,video $USER, and log in again"
                .to_owned(),
        )
    } else {
        (
            "the drivers that are installed found no adapter".to_owned(),
            "`vulkaninfo --summary` says what each of them finds".to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_told_from_other_devices() {
        let folder = tempfile::tempdir().unwrap();
        for (name, class, vendor) in
            [("0", "0x030200", "0x10de"), ("1", "0x020000", "0x8086"), ("2", "0x030000", "0x1af4")]
        {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("class"), format!("{class}\n")).unwrap();
            fs::write(path.join("vendor"), format!("{vendor}\n")).unwrap();
        }
        assert_eq!(pci_gpus(folder.path()), ["NVIDIA GPU"]);
        assert_eq!(pci_gpus(&folder.path().join("not there")), Vec::<String>::new());
    }

    #[test]
    fn nvidias_driver_names_its_gpus() {
        let folder = tempfile::tempdir().unwrap();
        let gpu = folder.path().join("0000:65:00.0");
        fs::create_dir(&gpu).unwrap();
        fs::write(gpu.join("information"), "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 12\n").unwrap();
        assert_eq!(nvidia_gpus(folder.path()), ["NVIDIA H100 80GB HBM3"]);
    }
}
