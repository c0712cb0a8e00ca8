//! The pairs of images from different noises, whose similarity is what chance gives.

/// For each noise the same number of others, spread evenly over all: a fixed choice, the same in every report.
///
/// Where runs are told classes, image i is of class i modulo `classes`: then partners share the class, so that what is
/// alike in all images of a class does not count for the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partners {
    /// Images that have partners: the first of them.
    pub count: usize,
    period: usize,
    of_each: usize,
}

impl Partners {
    /// At most `most` of each of `images` images.
    pub fn new(images: usize, classes: Option<usize>, most: usize) -> Self {
        // With less than two images of each class there is nobody else of the class.
        let period = classes.filter(|&classes| classes > 0 && images >= 2 * classes).unwrap_or(1);
        let count = images - images % period;
        Self { count, period, of_each: most.min(count / period - 1) }
    }

    /// Others for image `index`.
    pub fn of(self, index: usize) -> impl Iterator<Item = usize> {
        let blocks = self.count / self.period;
        (0..self.of_each)
            .map(move |partner| 1 + partner * (blocks - 1) / self.of_each)
            .map(move |blocks_on| (index + blocks_on * self.period) % self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_are_others_and_all_different() {
        for (images, classes, most, expected) in
            [(2, None, 4, 1), (7, None, 4, 4), (256, None, 4, 4), (45, Some(10), 4, 3), (15, Some(10), 4, 4)]
        {
            let partners = Partners::new(images, classes, most);
            for index in 0..partners.count {
                let mut of: Vec<usize> = partners.of(index).collect();
                assert!(of.iter().all(|&other| other != index && other < images));
                if images == 45 {
                    assert!(of.iter().all(|other| other % 10 == index % 10));
                }
                of.sort_unstable();
                of.dedup();
                assert_eq!(of.len(), expected, "{images} images");
            }
        }
        assert_eq!(Partners::new(45, Some(10), 4).count, 40);
    }
}
