//! `--device`: on which backend the program's generic code is instantiated.

use std::str::FromStr;

use super::Failed;

/// What was asked for with `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A CUDA GPU where there is one, otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA GPU with this index.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") if text == "auto" => Ok(Self::Auto),
            ("cpu", "0") if text == "cpu" => Ok(Self::Cpu),
            ("cuda", index) => index
                .parse()
                .map(Self::Cuda)
                .map_err(|_| format!("`{index}` is not the number of a GPU")),
            _ => Err("allowed: auto, cpu, cuda, cuda:1, …".into()),
        }
    }
}

/// Runs `$work::<Backend>(&device, "name")` on the device that `$choice` resolves to.
///
/// `$work` is a generic function over a training backend, which keeps activations by `$strategy` for
/// the backward pass.
macro_rules! on_device {
    ($choice:expr, $strategy:ty, $work:ident($($arg:expr),* $(,)?)) => {
        match $crate::cli::device::resolve($choice)? {
            $crate::cli::device::Resolved::Cpu => $work::<burn::backend::Autodiff<burn::backend::Flex, $strategy>>(
                $($arg,)* &Default::default(), "cpu",
            ),
            #[cfg(feature = "cuda")]
            $crate::cli::device::Resolved::Cuda(index) => $work::<burn::backend::Autodiff<burn_cuda::Cuda, $strategy>>(
                $($arg,)* &burn_cuda::CudaDevice::new(index), &format!("cuda:{index}"),
            ),
        }
    };
}
pub(super) use on_device;

/// A device that is there.
pub(super) enum Resolved {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda(usize),
}

/// Finds the device, or says why it cannot be used.
#[cfg(not(feature = "cuda"))]
pub(super) fn resolve(choice: DeviceChoice) -> Result<Resolved, Failed> {
    match choice {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Resolved::Cpu),
        DeviceChoice::Cuda(_) => Err(Failed::input(
            "this calvaria was built without CUDA. Build it with `cargo build --release \
             --features cuda`, or use --device cpu.",
        )),
    }
}

/// Finds the device, or says why it cannot be used.
#[cfg(feature = "cuda")]
pub(super) fn resolve(choice: DeviceChoice) -> Result<Resolved, Failed> {
    match choice {
        DeviceChoice::Cpu => Ok(Resolved::Cpu),
        DeviceChoice::Cuda(index) => match probe(index) {
            Ok(()) => Ok(Resolved::Cuda(index)),
            Err(why) => Err(Failed::input(format!(
                "the GPU cuda:{index} cannot be used: {why} Check `nvidia-smi`, or use --device \
                 cpu."
            ))),
        },
        DeviceChoice::Auto => Ok(probe(0).map_or(Resolved::Cpu, |()| Resolved::Cuda(0))),
    }
}

/// Does one small sum on the GPU. Burn panics where CUDA is missing or broken, in its own threads
/// as well, so the panic is caught and kept off the screen.
#[cfg(feature = "cuda")]
fn probe(index: usize) -> Result<(), String> {
    use burn::tensor::Tensor;
    use std::sync::{Arc, Mutex, PoisonError};

    let first = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&first);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default().to_owned();
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(said);
    }));
    let tried = std::panic::catch_unwind(|| {
        let device = burn_cuda::CudaDevice::new(index);
        let sum = Tensor::<burn_cuda::Cuda, 1>::ones([8], &device).sum();
        sum.try_into_data()
            .map(|data| data.iter::<f32>().sum::<f32>())
    });
    std::panic::set_hook(usual);
    match tried {
        Ok(Ok(sum)) if sum == 8.0 => Ok(()),
        _ => {
            let said = first
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .unwrap_or_default();
            Err(reason(&said))
        }
    }
}

#[cfg(feature = "cuda")]
fn reason(panic: &str) -> String {
    if panic.contains("libcuda") || panic.contains("shared library") || panic.contains("dlopen") {
        "no NVIDIA driver was found on this machine.".into()
    } else if panic.contains("nvrtc") {
        "NVIDIA's run-time compiler (libnvrtc) was not found; install the CUDA runtime.".into()
    } else {
        let line = panic.lines().next().unwrap_or_default();
        format!("it did not do a simple sum ({line}).")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_with_an_optional_index() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        for wrong in ["gpu", "cuda:x", "cpu:0", "auto:1", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
