//! What a piece of work launches on a device, kernel by kernel, counted within this process.

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod observed;

use std::collections::BTreeMap;

#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub use observed::observe_launches;

/// Of the kernels of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelLaunches {
    pub launches: usize,
    /// Launches that the device's clock measured.
    pub timed: usize,
    /// Of those, from the start of each to its end.
    pub device_seconds: f64,
}

/// By name, without the path and the types of a kernel.
pub type Launches = BTreeMap<String, KernelLaunches>;

/// Counts nothing: only a GPU is told of kernels.
#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
pub fn observe_launches<T>(_are_timed: bool, work: impl FnOnce() -> T) -> (T, Launches) {
    (work(), Launches::new())
}

/// Sums what was launched, by the full name of the kernel, and what was measured.
#[cfg(any(test, feature = "wgpu", feature = "cuda"))]
fn summed<'a>(
    launched: impl IntoIterator<Item = &'a str>,
    measured: impl IntoIterator<Item = (&'a str, f64)>,
) -> Launches {
    let mut launches = Launches::new();
    for kernel in launched {
        launches.entry(short_name(kernel)).or_default().launches += 1;
    }
    for (kernel, device_seconds) in measured {
        let of_kernel = launches.entry(short_name(kernel)).or_default();
        of_kernel.timed += 1;
        of_kernel.device_seconds += device_seconds;
    }
    launches
}

/// `a::b::Kernel<c::D>` is `Kernel`.
#[cfg(any(test, feature = "wgpu", feature = "cuda"))]
fn short_name(kernel: &str) -> String {
    let path = kernel.split('<').next().unwrap_or(kernel);
    path.rsplit("::").next().unwrap_or(path).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_are_summed_by_the_short_names_of_kernels() {
        let launched = ["a::Add<f32>", "b::Add<f16, x::Y<u8>>", "Product"];
        let found = summed(launched, [("a::Add<f32>", 0.25), ("a::Add<f32>", 0.5)]);
        let add = KernelLaunches { launches: 2, timed: 2, device_seconds: 0.75 };
        let product = KernelLaunches { launches: 1, timed: 0, device_seconds: 0.0 };
        assert_eq!(found, Launches::from([("Add".to_owned(), add), ("Product".to_owned(), product)]));
    }
}
