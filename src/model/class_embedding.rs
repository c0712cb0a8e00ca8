use burn::tensor::{Device, Tensor, TensorData};

use super::architecture::{Architecture, Initial, Pass};

/// What a network is told of the classes of its images.
#[derive(Clone)]
pub enum Classes<'a> {
    /// Nothing: where it is told classes, none has one.
    Untold,
    /// Of each image.
    Of(&'a [u32]),
    /// `[batch, rows of the table]` on the network's device: 1 at the class of each image, see [`one_hot`].
    OneHot(Box<Tensor<2>>),
}

impl<'a> From<Option<&'a [u32]>> for Classes<'a> {
    fn from(classes: Option<&'a [u32]>) -> Self {
        classes.map_or(Self::Untold, Self::Of)
    }
}

impl Classes<'_> {
    /// Those of `count` images from the one at `first`.
    pub fn narrow(&self, first: usize, count: usize) -> Self {
        match self {
            Self::Untold => Self::Untold,
            Self::Of(classes) => Self::Of(&classes[first..first + count]),
            Self::OneHot(chosen) => Self::OneHot(Box::new((**chosen).clone().narrow(0, first, count))),
        }
    }
}

/// `[classes, rows]`: 1 at each class, else 0.
pub fn one_hot(classes: &[u32], rows: usize) -> Vec<f32> {
    let mut chosen = vec![0f32; classes.len() * rows];
    for (row, &class) in chosen.chunks_exact_mut(rows).zip(classes) {
        row[class as usize] = 1.0;
    }
    chosen
}

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
        architecture.class_rows = Some(rows);
        architecture.no_class = none;
        let table = architecture.parameter(format!("{name}.weight"), vec![rows, length], initial);
        Self { table, rows, length, none }
    }

    /// The embedding of each of `batch` images as planes of one pixel; with no `classes`, that of "no class".
    ///
    /// # Panics
    /// If there is not one class below the number of rows for each image, or there is no "no class" where it is asked for.
    pub fn forward(&self, pass: Pass, classes: &Classes, batch: usize, device: &Device) -> Tensor<4> {
        let none = || self.none.expect("a model whose `class_dropout` is 0 knows no image without a class");
        let of = |classes: &[u32]| {
            assert_eq!(classes.len(), batch, "a class for each image");
            Tensor::from_data(TensorData::new(one_hot(classes, self.rows), [batch, self.rows]), device)
        };
        let chosen = match classes {
            Classes::Untold => of(&vec![none(); batch]),
            Classes::Of(classes) => of(classes),
            Classes::OneHot(chosen) => (**chosen).clone(),
        };
        // As a product, whose gradient is a sum in a fixed order on every device.
        let table = pass.parameters[self.table].clone().reshape([self.rows, self.length]);
        pass.kernels.enter_vectors(chosen.matmul(table))
    }
}
