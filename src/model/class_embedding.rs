use burn::tensor::{Device, Tensor, TensorData};

use super::architecture::{Architecture, Initial, Pass};

/// A learned vector for each class, and one for "no class" where classes are dropped in training.
#[derive(Clone, Debug)]
pub struct ClassEmbedding {
    table: usize,
    /// Rows of the table.
    rows: usize,
    length: usize,
    /// The row of "no class", the last one.
    none: Option<u32>,
}

impl ClassEmbedding {
    /// For `classes` classes of which a share `dropout` is dropped in training: the table `[classes (+ 1), length]`.
    pub fn describe(
        architecture: &mut Architecture,
        name: &str,
        classes: usize,
        dropout: f64,
        length: usize,
        initial: Initial,
    ) -> Self {
        let none = (dropout > 0.0).then_some(classes as u32);
        let rows = classes + usize::from(none.is_some());
        architecture.activations += length;
        let table = architecture.parameter(format!("{name}.weight"), vec![rows, length], initial);
        Self { table, rows, length, none }
    }

    /// The embedding of each of `batch` images as planes of one pixel; with no `classes`, that of "no class".
    ///
    /// # Panics
    /// If there is not one class below the number of rows for each image, or there is no "no class" where it is asked for.
    pub fn forward(&self, pass: Pass, classes: Option<&[u32]>, batch: usize, device: &Device) -> Tensor<4> {
        let none = || self.none.expect("a model whose `class_dropout` is 0 knows no image without a class");
        let mut chosen = vec![0f32; batch * self.rows];
        let classes = classes.map_or_else(|| vec![none(); batch], <[u32]>::to_vec);
        assert_eq!(classes.len(), batch, "a class for each image");
        for (row, class) in chosen.chunks_exact_mut(self.rows).zip(classes) {
            row[class as usize] = 1.0;
        }
        // As a product, whose gradient is a sum in a fixed order on every device.
        let chosen = Tensor::<2>::from_data(TensorData::new(chosen, [batch, self.rows]), device);
        let table = pass.parameters[self.table].clone().reshape([self.rows, self.length]);
        pass.kernels.enter_vectors(chosen.matmul(table))
    }
}
