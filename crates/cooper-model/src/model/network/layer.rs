//! The layers that have weights.

use cooper_kernels::{ConvPrecision, ConvShape};

/// (n, input) → (n, output): `weight` (output, input), and `bias` (output) where there is one.
#[derive(Clone, Debug)]
pub struct Linear {
    /// The tensors' prefix.
    pub name: String,
    /// Width of a row before.
    pub input: usize,
    /// Width of a row behind.
    pub output: usize,
    /// Whether there is a bias.
    pub has_bias: bool,
    /// Whether the weight may be quantised.
    pub is_quantizable: bool,
}

impl Linear {
    /// A layer with a bias, never quantised.
    pub(super) fn new(name: impl Into<String>, input: usize, output: usize) -> Self {
        Self {
            name: name.into(),
            input,
            output,
            has_bias: true,
            is_quantizable: false,
        }
    }

    pub(super) fn without_bias(self) -> Self {
        Self {
            has_bias: false,
            ..self
        }
    }

    pub(super) fn quantizable(self) -> Self {
        Self {
            is_quantizable: true,
            ..self
        }
    }

    /// Name of the weight.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Shape (output, input) of the weight.
    pub fn shape(&self) -> (usize, usize) {
        (self.output, self.input)
    }

    /// Numbers of the weight: a row takes twice as many floating point operations.
    pub fn n_weights(&self) -> usize {
        self.output * self.input
    }
}

/// A square kernel with bias: `weight` and `bias` (c_out).
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// The tensors' prefix.
    pub name: String,
    /// Channels before.
    pub c_in: usize,
    /// Channels behind.
    pub c_out: usize,
    /// Kernel, stride and padding.
    pub shape: ConvShape,
    /// Shape of the weight in the file.
    pub stored: ConvWeight,
}

/// Shape of a convolution's weight in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvWeight {
    /// (c_out, c_in, k, k)
    Kernel,
    /// (c_out, c_in): a 1×1 convolution that is stored as a linear layer.
    Matrix,
}

impl Conv2d {
    pub(super) fn new(name: impl Into<String>, channels: (usize, usize), shape: ConvShape) -> Self {
        Self {
            name: name.into(),
            c_in: channels.0,
            c_out: channels.1,
            shape,
            stored: ConvWeight::Kernel,
        }
    }

    /// Name of the weight.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Numbers of the weight: an output pixel takes twice as many floating point operations.
    pub fn n_weights(&self) -> usize {
        self.shape.kernel.pow(2) * self.c_in * self.c_out
    }

    /// Whether its weight is kept in 16-bit integers with this precision.
    pub fn is_rounded(&self, precision: ConvPrecision) -> bool {
        precision.is_int16(self.shape.kernel, self.c_in, self.c_out)
    }

    fn weight_shape(&self) -> Vec<usize> {
        let kernel = self.shape.kernel;
        match self.stored {
            ConvWeight::Kernel => vec![self.c_out, self.c_in, kernel, kernel],
            ConvWeight::Matrix => vec![self.c_out, self.c_in],
        }
    }
}

/// A normalisation: `weight` (width), and `bias` (width) but for [`NormKind::Rms`].
#[derive(Clone, Debug)]
pub struct Norm {
    /// The tensors' prefix.
    pub name: String,
    /// Numbers, or channels, that are scaled each.
    pub width: usize,
    /// Added to the variance or the mean square.
    pub eps: f64,
    /// What is normed together.
    pub kind: NormKind,
}

impl Norm {
    /// A group norm of the convolutional blocks; with fewer channels than groups each channel is one.
    pub(super) fn group(name: String, width: usize, n_groups: usize) -> Self {
        let n_groups = n_groups.min(width);
        Self {
            name,
            width,
            eps: 1e-6,
            kind: NormKind::Group { n_groups },
        }
    }
}

/// What a normalisation norms together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// A row, by its root mean square.
    Rms,
    /// A row, by mean and variance.
    Layer,
    /// Groups of channels of an image, by mean and variance.
    Group {
        /// How many groups.
        n_groups: usize,
    },
}

/// A table of rows, such as embeddings.
#[derive(Clone, Debug)]
pub struct Table {
    /// The tensor.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Numbers of a row.
    pub width: usize,
}

impl Table {
    pub(super) fn new(name: impl Into<String>, rows: usize, width: usize) -> Self {
        Self {
            name: name.into(),
            rows,
            width,
        }
    }
}

/// A layer as visitors meet it.
#[derive(Clone, Copy, Debug)]
pub enum Layer<'a> {
    /// A linear layer.
    Linear(&'a Linear),
    /// A convolution.
    Conv2d(&'a Conv2d),
    /// A normalisation.
    Norm(&'a Norm),
    /// Embeddings or positions.
    Table(&'a Table),
}

impl Layer<'_> {
    /// Names and shapes of its tensors.
    pub fn tensors(self) -> Vec<(String, Vec<usize>)> {
        let (name, weight, bias) = match self {
            Self::Linear(linear) => {
                let bias = linear.has_bias.then_some(linear.output);
                (&linear.name, vec![linear.output, linear.input], bias)
            }
            Self::Conv2d(conv) => (&conv.name, conv.weight_shape(), Some(conv.c_out)),
            Self::Norm(norm) => {
                let bias = (norm.kind != NormKind::Rms).then_some(norm.width);
                (&norm.name, vec![norm.width], bias)
            }
            Self::Table(table) => return vec![(table.name.clone(), vec![table.rows, table.width])],
        };
        let weight = (format!("{name}.weight"), weight);
        let bias = bias.map(|width| (format!("{name}.bias"), vec![width]));
        std::iter::once(weight).chain(bias).collect()
    }
}

impl<'a> From<&'a Linear> for Layer<'a> {
    fn from(linear: &'a Linear) -> Self {
        Self::Linear(linear)
    }
}

impl<'a> From<&'a Conv2d> for Layer<'a> {
    fn from(conv: &'a Conv2d) -> Self {
        Self::Conv2d(conv)
    }
}

impl<'a> From<&'a Norm> for Layer<'a> {
    fn from(norm: &'a Norm) -> Self {
        Self::Norm(norm)
    }
}

impl<'a> From<&'a Table> for Layer<'a> {
    fn from(table: &'a Table) -> Self {
        Self::Table(table)
    }
}
