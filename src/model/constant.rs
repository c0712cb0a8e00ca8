use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor, TensorData};

/// Values that a layer needs at every pass and nobody trains. They are brought to the device once, for the network and all its copies: a
/// captured step must copy nothing there.
#[derive(Clone, Debug, Default)]
pub struct Constant {
    kept: Arc<OnceLock<Tensor<1>>>,
}

impl Constant {
    /// The values on `device`, not tracked; `values` makes them at the first pass. A network that is asked on another device than at first gets a
    /// copy of its own every time.
    pub fn on(&self, device: &Device, values: impl Fn() -> Vec<f32>) -> Tensor<1> {
        let device = device.clone().without_autodiff();
        let make = || {
            let values = values();
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), &device)
        };
        let kept = self.kept.get_or_init(make);
        if kept.device() == device { kept.clone() } else { make() }
    }
}
