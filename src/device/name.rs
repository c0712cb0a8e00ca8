//! Devices as the command line and records name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `cpu`, `wgpu:0`, `cuda:1`. Numbers count from 0 among the devices of a kind that the process may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceName {
    Cpu,
    Wgpu(usize),
    Cuda(usize),
}

/// What a device is reached through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    Cpu,
    /// Vulkan, Metal or DirectX 12.
    Wgpu,
    Cuda,
}

impl DeviceName {
    pub fn kind(self) -> DeviceKind {
        match self {
            Self::Cpu => DeviceKind::Cpu,
            Self::Wgpu(_) => DeviceKind::Wgpu,
            Self::Cuda(_) => DeviceKind::Cuda,
        }
    }
}

impl DeviceKind {
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::Wgpu];

    /// Whether this program was built with it.
    pub fn is_compiled_in(self) -> bool {
        match self {
            Self::Cpu => true,
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    pub fn nth(self, index: usize) -> DeviceName {
        match self {
            Self::Cpu => DeviceName::Cpu,
            Self::Wgpu => DeviceName::Wgpu(index),
            Self::Cuda => DeviceName::Cuda(index),
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.pad("cpu"),
            Self::Wgpu(index) => formatter.pad(&format!("wgpu:{index}")),
            Self::Cuda(index) => formatter.pad(&format!("cuda:{index}")),
        }
    }
}

impl FromStr for DeviceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no kind of device: cpu, wgpu or cuda"))
    }
}

impl FromStr for DeviceName {
    type Err = String;

    /// A kind without a number is its first device.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, index) = match text.split_once(':') {
            None => (text, 0),
            Some((kind, index)) => {
                let index = index.parse().map_err(|_| format!("`{index}` in `{text}` is no number of a device"))?;
                (kind, index)
            }
        };
        match (kind.parse()?, index) {
            (DeviceKind::Cpu, 1..) => Err(format!("there is one `cpu`, not `{text}`: --jobs divides its cores")),
            (kind, index) => Ok(kind.nth(index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [DeviceName::Cpu, DeviceName::Wgpu(0), DeviceName::Cuda(13)] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
    }

    #[test]
    fn other_names_are_refused_with_what_is_wrong() {
        let error = |text: &str| text.parse::<DeviceName>().unwrap_err();
        assert_eq!(error("rocm:0"), "`rocm` is no kind of device: cpu, wgpu or cuda");
        assert_eq!(error("cuda:x"), "`x` in `cuda:x` is no number of a device");
        assert_eq!(error("cuda:-1"), "`-1` in `cuda:-1` is no number of a device");
        assert_eq!(error("cpu:1"), "there is one `cpu`, not `cpu:1`: --jobs divides its cores");
    }
}
