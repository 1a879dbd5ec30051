//! Which device and which number format to use.

use std::str::FromStr;

use candle_core::{DType, Device, Result};

/// The device asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that this build and machine have, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA GPU by number.
    Cuda(usize),
    /// An Apple GPU by number.
    Metal(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |n: &str| n.parse().ok();
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", _) if text == "auto" => Some(Self::Auto),
            ("cpu", _) if text == "cpu" => Some(Self::Cpu),
            ("cuda", n) => number(n).map(Self::Cuda),
            ("metal", n) => number(n).map(Self::Metal),
            _ => None,
        }
        .ok_or_else(|| format!("expected auto, cpu, cuda:N or metal:N, got `{text}`"))
    }
}

impl DeviceChoice {
    /// Open the device.
    ///
    /// # Errors
    /// If this build or this machine does not have it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto => {
                if candle_core::utils::cuda_is_available() {
                    Device::new_cuda(0)
                } else if candle_core::utils::metal_is_available() {
                    Device::new_metal(0)
                } else {
                    Ok(Device::Cpu)
                }
            }
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(n) => Device::new_cuda(n),
            Self::Metal(n) => Device::new_metal(n),
        }
    }
}

/// The number format asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DtypeChoice {
    /// f32 on a CPU, bf16 on a GPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats.
    Bf16,
    /// 16-bit floats.
    F16,
}

impl FromStr for DtypeChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(format!("expected auto, f32, bf16 or f16, got `{text}`")),
        }
    }
}

impl DtypeChoice {
    /// The dtype of the transformer on `device`.
    pub fn on(self, device: &Device) -> DType {
        match self {
            Self::Auto if device.is_cpu() => DType::F32,
            Self::Auto | Self::Bf16 => DType::BF16,
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_others_refused() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda:1".parse(), Ok(DeviceChoice::Cuda(1)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for wrong in ["", "cpu:0", "cpu:banana", "auto:1", "cuda:x", "tpu"] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err();
            assert!(error.contains("expected auto, cpu, cuda:N"), "{error}");
        }
    }
}
