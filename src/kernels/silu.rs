use super::lanes::{self, Chunk, Job, LANES, Lanes};

/// x * sigmoid(x) of each number.
pub fn forward(input: &[Chunk]) -> Vec<Chunk> {
    let mut output = vec![[0.0; LANES]; input.len()];
    lanes::run(Silu { input, gradient: None, output: &mut output });
    output
}

/// The gradient with respect to the input.
pub fn backward(input: &[Chunk], gradient: &[Chunk]) -> Vec<Chunk> {
    assert_eq!(input.len(), gradient.len(), "a gradient for each output");
    let mut output = vec![[0.0; LANES]; input.len()];
    lanes::run(Silu { input, gradient: Some(gradient), output: &mut output });
    output
}

/// gradient * d (x sigmoid(x)) / dx.
#[inline(always)]
pub fn silu_gradient<L: Lanes>(x: L, gradient: L) -> L {
    let (sigmoid, one) = (x.sigmoid(), L::splat(1.0));
    gradient.mul(sigmoid).mul(x.mul_add(one.sub(sigmoid), one))
}

struct Silu<'a> {
    input: &'a [Chunk],
    gradient: Option<&'a [Chunk]>,
    output: &'a mut [Chunk],
}

impl Job for Silu<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (index, (output, input)) in self.output.iter_mut().zip(self.input).enumerate() {
            let x = L::load(input);
            match self.gradient {
                Some(gradient) => silu_gradient(x, L::load(&gradient[index])).store(output),
                None => x.mul(x.sigmoid()).store(output),
            }
        }
    }
}
