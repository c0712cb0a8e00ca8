/// A family of encoders: what they were trained for, and how they differ from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VitFamily {
    /// DINOv2 (Oquab et al. 2023, arXiv 2304.07193), with or without registers (Darcet et al. 2023, arXiv 2309.16588): each branch of a block
    /// is scaled, no norm before the blocks, GELU.
    Dinov2,
    /// The tower for images of CLIP (Radford et al. 2021, arXiv 2103.00020): a norm before the blocks, the quick approximation of GELU,
    /// and a linear map of the class token.
    Clip,
}

/// The sizes of an encoder, as its tensors tell them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VitDesign {
    pub family: VitFamily,
    /// Numbers of a token.
    pub dim: usize,
    pub depth: usize,
    /// Numbers of the hidden layer of each block.
    pub hidden: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Patches in a row of the images that it was trained with at last.
    pub grid: usize,
    /// Tokens between the class token and those of patches, which belong to no place.
    pub registers: usize,
    /// Numbers that its class token is mapped to, where it is.
    pub projection: Option<usize>,
}

impl VitDesign {
    /// Numbers of a head: both families have 64 at all sizes that are read.
    pub const HEAD: usize = 64;

    /// That of DINOv2's ViT-L/14, which is most in use.
    pub fn dinov2_large() -> Self {
        let family = VitFamily::Dinov2;
        Self { family, dim: 1024, depth: 24, hidden: 4096, patch: 14, grid: 37, registers: 0, projection: None }
    }

    /// That of CLIP's ViT-L/14 at 336 pixels.
    pub fn clip_large_336() -> Self {
        let family = VitFamily::Clip;
        Self { family, dim: 1024, depth: 24, hidden: 4096, patch: 14, grid: 24, registers: 0, projection: Some(768) }
    }

    pub fn heads(&self) -> usize {
        self.dim / Self::HEAD
    }

    /// Side of the images that are customary in measurements: 224 pixels for DINOv2, those of the training at last for CLIP. Of a
    /// DINOv2 that was trained with smaller images, theirs.
    pub fn customary_side(&self) -> usize {
        let trained = self.grid * self.patch;
        match self.family {
            VitFamily::Dinov2 => trained.min(16 * self.patch),
            VitFamily::Clip => trained,
        }
    }

    /// Values in the features of an image.
    pub fn features(&self) -> usize {
        self.projection.unwrap_or(self.dim)
    }

    /// The family and the size in a few letters: `dinov2-vitl14`, `dinov2-vitl14-reg4`, `clip-vitl14-336`.
    pub fn name(&self) -> String {
        let size = match (self.dim, self.depth) {
            (384, 12) => "s".to_owned(),
            (768, 12) => "b".to_owned(),
            (1024, 24) => "l".to_owned(),
            (dim, depth) => format!("-{dim}x{depth}-"),
        };
        match self.family {
            VitFamily::Dinov2 if self.registers > 0 => format!("dinov2-vit{size}{}-reg{}", self.patch, self.registers),
            VitFamily::Dinov2 => format!("dinov2-vit{size}{}", self.patch),
            VitFamily::Clip => format!("clip-vit{size}{}-{}", self.patch, self.customary_side()),
        }
    }

    /// What is added to variances by norms.
    pub fn epsilon(&self) -> f32 {
        match self.family {
            VitFamily::Dinov2 => 1e-6,
            VitFamily::Clip => 1e-5,
        }
    }

    /// (means, deviations) of the red, green and blue of the images of its training, where these are from 0 to 1.
    pub fn colours(&self) -> ([f32; 3], [f32; 3]) {
        match self.family {
            VitFamily::Dinov2 => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            VitFamily::Clip => ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]),
        }
    }
}
