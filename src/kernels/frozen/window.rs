/// The window that slides over the planes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub height: usize,
    pub width: usize,
    pub stride: usize,
    pub edges: Edges,
}

/// How far a window reaches beyond the planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// Padding by these numbers of pixels at each end: (above and below, left and right).
    Padding(usize, usize),
    /// Padding with which the output has side / stride pixels, rounded up; an odd pixel is below and right
    /// (TensorFlow's SAME).
    Same,
}

impl Window {
    /// A square without padding.
    pub fn square(side: usize, stride: usize) -> Self {
        Self { height: side, width: side, stride, edges: Edges::Padding(0, 0) }
    }

    /// A window of stride 1, padded so that planes keep their size.
    pub fn keeping(height: usize, width: usize) -> Self {
        Self { height, width, stride: 1, edges: Edges::Padding(height / 2, width / 2) }
    }

    pub fn positions(&self) -> usize {
        self.height * self.width
    }

    /// Rows above the planes that it reaches, and rows of the output, for `height` rows.
    pub fn rows(&self, height: usize) -> (usize, usize) {
        let padding = match self.edges {
            Edges::Padding(rows, _) => Some(rows),
            Edges::Same => None,
        };
        axis(self.height, self.stride, padding, height)
    }

    /// The same for columns.
    pub fn columns(&self, width: usize) -> (usize, usize) {
        let padding = match self.edges {
            Edges::Padding(_, columns) => Some(columns),
            Edges::Same => None,
        };
        axis(self.width, self.stride, padding, width)
    }

    /// Pixels of padding of planes of this size: (above, below) and (left, right).
    pub fn padding(&self, height: usize, width: usize) -> [(usize, usize); 2] {
        let after = |kernel: usize, length: usize, (before, outputs): (usize, usize)| {
            (before, ((outputs - 1) * self.stride + kernel).saturating_sub(length + before))
        };
        [after(self.height, height, self.rows(height)), after(self.width, width, self.columns(width))]
    }
}

fn axis(kernel: usize, stride: usize, padding: Option<usize>, length: usize) -> (usize, usize) {
    match padding {
        Some(padding) => {
            let all = length + 2 * padding;
            assert!(all >= kernel, "a window of {kernel} pixels on {length}");
            (padding, (all - kernel) / stride + 1)
        }
        None => {
            let outputs = length.div_ceil(stride);
            (((outputs - 1) * stride + kernel).saturating_sub(length) / 2, outputs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_know_the_sides_of_their_outputs() {
        let side = |window: Window, side| window.rows(side);
        assert_eq!(side(Window::square(3, 2), 299), (0, 149));
        assert_eq!(side(Window::keeping(1, 7), 17), (0, 17));
        assert_eq!(Window::keeping(1, 7).columns(17), (3, 17));
        // TensorFlow: 224 by 2 leaves 112; one pixel of padding, and it is at the end.
        let same = Window { edges: Edges::Same, ..Window::square(3, 2) };
        assert_eq!((side(same, 224), same.padding(224, 224)), ((0, 112), [(0, 1); 2]));
        let same = Window { edges: Edges::Same, ..Window::square(5, 2) };
        assert_eq!((side(same, 56), same.padding(56, 57)), ((1, 28), [(1, 2), (2, 2)]));
        let same = Window { edges: Edges::Same, ..Window::square(3, 1) };
        assert_eq!((side(same, 7), same.padding(7, 7)), ((1, 7), [(1, 1); 2]));
    }
}
