//! The words of [`crate::random::Draws`] for dropout, made on a device.

use burn::tensor::{DType, Device, Int, IntDType, Tensor, TensorData};

use crate::random::{PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS, Stream};

/// What dropout draws by, where it draws on a device.
#[derive(Clone)]
pub struct DeviceDraws {
    seed: u64,
    step: Tensor<1>,
    counted: Counted,
}

/// The numbers below 2^16, in order, which are brought to a device once: a captured step must copy nothing there.
#[derive(Clone)]
pub struct Counted(Tensor<1, Int>);

impl Counted {
    const COUNT: usize = 1 << 16;

    /// `device` does not track gradients.
    pub fn new(device: &Device) -> Self {
        // Not `arange`: burn 0.22 counts from 1 on a GPU and then adds -1, which is no number without a sign.
        let numbers: Vec<u32> = (0..Self::COUNT as u32).collect();
        Self(Tensor::from_data(TensorData::new(numbers, [Self::COUNT]), (device, DType::U32)))
    }

    /// The first `count` numbers, fewer than 2^32.
    fn first(&self, count: usize) -> Tensor<1, Int> {
        let (rows, columns) = (count.div_ceil(Self::COUNT), count.min(Self::COUNT));
        let row_starts = self.0.clone().narrow(0, 0, rows).bitwise_left_shift_scalar(16u32).unsqueeze_dim::<2>(1);
        let numbers = row_starts + self.0.clone().narrow(0, 0, columns).unsqueeze();
        numbers.reshape([rows * columns]).narrow(0, 0, count)
    }
}

impl DeviceDraws {
    /// `step` is [`DeviceDraws::step_values`] on the device.
    pub fn new(seed: u64, step: Tensor<1>, counted: Counted) -> Self {
        Self { seed, step, counted }
    }

    /// A step's number as a device is given it, `[2]`: both are whole in f32 for the first 2^40 steps.
    pub fn step_values(step: u64) -> [f32; 2] {
        [(step % (1 << 16)) as f32, (step >> 16) as f32]
    }

    /// The first `count` words of `Draws::new(seed, Stream::Dropout, step * 2^16 + layer)`, `[count]` of 32 bits without sign.
    pub(super) fn words(&self, layer: u16, count: usize) -> Tensor<1, Int> {
        let [remainder, quotient] = [0, 1].map(|index| self.step.clone().narrow(0, index, 1).cast(IntDType::U32));
        let low = remainder.bitwise_left_shift_scalar(16u32).add_scalar(u32::from(layer));
        let blocks = count.div_ceil(4);
        let stream = quotient.zeros_like().add_scalar(Stream::Dropout as u32);
        let words =
            philox([self.counted.first(blocks), stream, low, quotient], [self.seed as u32, (self.seed >> 32) as u32]);
        // Word by word of a block, block by block.
        Tensor::<1, Int>::stack::<2>(words.to_vec(), 1).reshape([4 * blocks]).narrow(0, 0, count)
    }
}

/// Philox4x32-10 of each counter: tensors `[blocks]`, or `[1]` where all counters have the same word. Numbers of 64 bits are not to be
/// had on every device, so that products are put together of halves; none of them is above 32 bits.
fn philox(mut counter: [Tensor<1, Int>; 4], mut key: [u32; 2]) -> [Tensor<1, Int>; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [0, 1].map(|half| key[half].wrapping_add(PHILOX_KEY_STEPS[half]));
        }
        let [zeroth, first, second, third] = counter;
        let (zeroth_high, zeroth_low) = product(zeroth, PHILOX_MULTIPLIERS[0]);
        let (second_high, second_low) = product(second, PHILOX_MULTIPLIERS[1]);
        counter = [
            second_high.bitwise_xor(first).bitwise_xor_scalar(key[0]),
            second_low,
            zeroth_high.bitwise_xor(third).bitwise_xor_scalar(key[1]),
            zeroth_low,
        ];
    }
    counter
}

/// The high and the low 32 bits of `words` times `factor`.
fn product(words: Tensor<1, Int>, factor: u32) -> (Tensor<1, Int>, Tensor<1, Int>) {
    let high = |word: Tensor<1, Int>| word.bitwise_right_shift_scalar(16u32);
    let low = |word: Tensor<1, Int>| word.bitwise_and_scalar(0xffffu32);
    let [factor_high, factor_low] = [factor >> 16, factor & 0xffff];
    let (word_high, word_low) = (high(words.clone()), low(words));
    let lows = word_low.clone().mul_scalar(factor_low);
    // At most (2^16 - 1)^2 + 2^16 - 1, which is below 2^32; and so is the next sum.
    let cross = word_high.clone().mul_scalar(factor_low) + high(lows.clone());
    let middle = word_low.mul_scalar(factor_high) + low(cross.clone());
    let highest = word_high.mul_scalar(factor_high) + high(cross) + high(middle.clone());
    (highest, middle.bitwise_left_shift_scalar(16u32).bitwise_or(low(lows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Draws;

    fn words(tensor: Tensor<1, Int>) -> Vec<u32> {
        tensor.into_data().try_into_vec().expect("words have 32 bits")
    }

    /// The known answers that come with the authors' Random123 1.14 (kat_vectors, philox4x32 10).
    #[test]
    fn a_device_gives_the_published_known_answers() {
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            let word = |word: u32| Tensor::from_data(TensorData::new(vec![word], [1]), (&Device::flex(), DType::U32));
            assert_eq!(philox(counter.map(word), key).map(|word| words(word)[0]), expected);
        }
    }

    #[test]
    fn a_device_draws_what_the_host_draws() {
        for (seed, step, layer, count) in
            [(0, 0, 0, 4), (7, 3, 5, 1), (u64::MAX - 1, 65_537, 65_535, 1003), (1 << 40, (1 << 33) + 5, 2, 270_002)]
        {
            let device = Device::flex();
            let step_values = Tensor::from_data(DeviceDraws::step_values(step), &device);
            let found = DeviceDraws::new(seed, step_values, Counted::new(&device)).words(layer, count);
            let mut draws = Draws::new(seed, Stream::Dropout, (step << 16) + u64::from(layer));
            let expected: Vec<u32> = (0..count).map(|_| draws.next_u32()).collect();
            assert_eq!(words(found), expected, "seed {seed}, step {step}, layer {layer}");
        }
    }
}
