//! A norm is one launch forwards and two backwards, three where all images have the same scales, whatever follows it, and none of them rearranges
//! its images.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::autodiff::DeviceNorms;
use super::super::norm::{Norm, NormKernels, Over};
use super::norm_kernels::{
    channel_sums, groups_backward, groups_forward, pixels_backward, pixels_forward, totals_of_both,
};
use super::{Images, UNITS, rows, small, unwritten, workgroups};

/// Channels that lie beside each other and are added up by threads beside each other: as many numbers as memory is read at a time.
pub const CHANNEL_LANES: u32 = 32;

/// What is given to all kernels of a norm.
struct Launch {
    norm: Norm,
    images: Images,
    /// What separates the scales of an image from those of the next: nothing where all have the same.
    scale_stride: u32,
}

/// Of the means over a group of channels, or over the channels of a pixel that lie together: then each pixel is an image, of one group.
struct Groups {
    means: usize,
    groups: usize,
    group_channels: usize,
    pixels: usize,
    scale_images: usize,
}

impl Launch {
    fn new(norm: Norm, images: Images, scale: &CubeTensor, shift: &CubeTensor) -> Self {
        assert_eq!(scale.shape(), shift.shape(), "a shift for each scale");
        let [of_images, channels] = scale.shape().dims();
        Self { norm, images, scale_stride: if of_images == 1 { 0 } else { small(channels) } }
    }

    /// Absent where means over the channels of a pixel are of values far apart.
    fn groups(&self) -> Option<Groups> {
        let Images { batch, channels, pixels, by_pixel } = self.images;
        match self.norm.over {
            Over::Groups(groups) => Some(Groups {
                means: batch * groups,
                groups,
                group_channels: channels / groups,
                pixels,
                scale_images: 1,
            }),
            Over::Channels => by_pixel.then(|| Groups {
                means: batch * pixels,
                groups: 1,
                group_channels: channels,
                pixels: 1,
                scale_images: pixels,
            }),
        }
    }
}

impl Groups {
    /// Threads of a workgroup: enough for two values each, and a power of two.
    fn units(&self) -> usize {
        (self.group_channels * self.pixels).div_ceil(2).next_power_of_two().clamp(32, UNITS as usize)
    }
}

impl NormKernels for CubeBackend {
    fn norm_forward(input: CubeTensor, scale: CubeTensor, shift: CubeTensor, norm: Norm) -> (CubeTensor, CubeTensor) {
        let shape = input.shape().dims();
        let (input, images) = Images::of(input);
        let launch = Launch::new(norm, images, &scale, &shift);
        let (output, element) = images.unwritten_factor(&input, shape, norm.factor_of);
        let statistics = unwritten(&input, [norm.means(shape), 2]);
        let client = input.client.clone();
        let arguments =
            [input, rows(scale), rows(shift), output.clone(), statistics.clone()].map(CubeTensor::into_buffer_arg);
        let [input, scale, shift, written, means] = arguments;
        match launch.groups() {
            Some(of) => groups_forward::launch(
                &client,
                workgroups(of.means),
                CubeDim::new_1d(of.units() as u32),
                input,
                scale,
                shift,
                written,
                means,
                small(of.means),
                small(of.groups),
                small(of.group_channels),
                small(of.pixels),
                small(of.scale_images),
                launch.scale_stride,
                norm.epsilon,
                of.units(),
                images.by_pixel,
                norm.silu,
                element,
            ),
            None => pixels_forward::launch(
                &client,
                workgroups((images.batch * images.pixels).div_ceil(UNITS as usize)),
                CubeDim::new_1d(UNITS),
                input,
                scale,
                shift,
                written,
                means,
                small(images.batch),
                small(images.channels),
                small(images.pixels),
                launch.scale_stride,
                norm.epsilon,
                norm.silu,
                element,
            ),
        }
        (images.seen(output), statistics)
    }

    fn norm_backward(
        gradient: CubeTensor,
        input: CubeTensor,
        scale: CubeTensor,
        shift: CubeTensor,
        statistics: CubeTensor,
        norm: Norm,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let shape = input.shape().dims();
        let (input, images) = Images::of(input);
        let launch = Launch::new(norm, images, &scale, &shift);
        let Images { batch, channels, pixels, by_pixel } = images;
        let output = images.unwritten(&input, shape);
        let [scales, shifts] = [(); 2].map(|()| unwritten(&input, [batch, channels]));
        let client = input.client.clone();
        let (gradient, element) = images.like_of_type(gradient);
        let given = [gradient, input, rows(scale), rows(shift), rows(statistics)];
        let arguments = || given.each_ref().map(|tensor| tensor.clone().into_buffer_arg());
        let written = |tensor: &CubeTensor| tensor.clone().into_buffer_arg();
        let group_channels = match norm.over {
            Over::Groups(groups) => channels / groups,
            Over::Channels => channels,
        };
        let lanes = if by_pixel { CHANNEL_LANES } else { 1 };
        let units = (pixels.div_ceil(2).next_power_of_two() * lanes as usize).clamp(32, UNITS as usize);
        let [gradient, input, scale, shift, means] = arguments();
        channel_sums::launch(
            &client,
            CubeCount::Static(small(channels).div_ceil(lanes), small(batch), 1),
            CubeDim::new_1d(units as u32),
            gradient,
            input,
            scale,
            shift,
            means,
            written(&scales),
            written(&shifts),
            small(channels),
            small(group_channels),
            small(pixels),
            launch.scale_stride,
            units,
            lanes,
            matches!(norm.over, Over::Channels),
            by_pixel,
            norm.silu,
            element,
        );
        let [gradient, input, scale, shift, means] = arguments();
        match launch.groups() {
            Some(of) => groups_backward::launch(
                &client,
                workgroups(of.means),
                CubeDim::new_1d(of.units() as u32),
                gradient,
                input,
                scale,
                shift,
                means,
                written(&output),
                small(of.means),
                small(of.groups),
                small(of.group_channels),
                small(of.pixels),
                small(of.scale_images),
                launch.scale_stride,
                of.units(),
                by_pixel,
                norm.silu,
                element,
            ),
            None => pixels_backward::launch(
                &client,
                workgroups((batch * pixels).div_ceil(UNITS as usize)),
                CubeDim::new_1d(UNITS),
                gradient,
                input,
                scale,
                shift,
                means,
                written(&output),
                small(batch),
                small(channels),
                small(pixels),
                launch.scale_stride,
                norm.silu,
                element,
            ),
        }
        if launch.scale_stride != 0 || batch == 1 {
            return (images.seen(output), scales, shifts);
        }
        let [scale, shift] = [(); 2].map(|()| unwritten(&scales, [1, channels]));
        let arguments = [scales, shifts, scale.clone(), shift.clone()].map(CubeTensor::into_buffer_arg);
        let [scales, shifts, of_scale, of_shift] = arguments;
        totals_of_both::launch(
            &client,
            workgroups(channels.div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            scales,
            shifts,
            of_scale,
            of_shift,
            small(batch),
            small(channels),
        );
        (images.seen(output), scale, shift)
    }
}

impl DeviceNorms for CubeBackend {
    fn device_norm(input: CubeTensor, scale: CubeTensor, shift: CubeTensor, norm: Norm) -> CubeTensor {
        Self::norm_forward(input, scale, shift, norm).0
    }
}
