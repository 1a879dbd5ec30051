//! The doctor's report: put together from headers, shown as words or as one JSON object.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cooper_kernels::SafetensorsHeader;
use cooper_model::engine::{GgufFile, ModelOptions, Quantization, add_matrices, quantized_beside};
use cooper_model::model::config::ModelConfig;
use cooper_model::model::inventory;
use cooper_model::model::inventory::Mismatch;
use serde::Serialize;

use super::super::model::{SHIPPED, SHIPPED_IS};
use super::files::FileState;
use super::kind::Finding;
use super::machine::Machine;
use super::memory::{Headers, Need};
use super::numbers::{grouped, size};
use super::{files, kind, memory};

/// Everything that the doctor says.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    model: PathBuf,
    /// Whether the files are all there and fit together.
    pub(super) loadable: bool,
    problems: Vec<String>,
    machine: Machine,
    files: Vec<FileState>,
    weights: Option<TensorFile>,
    finding: Option<Finding>,
    vae: Option<TensorFile>,
    /// Width and height of the images that memory is planned for.
    #[serde(rename = "picture")]
    image: (u32, u32),
    /// For each number format.
    memory: Vec<Need>,
}

/// What the header of a safetensors file says.
#[derive(Debug, Serialize)]
struct TensorFile {
    path: PathBuf,
    tensors: usize,
    parameters: u64,
    /// How many tensors are stored in each type.
    dtypes: BTreeMap<String, usize>,
    /// How the transformer's matrices are quantised, where they are.
    quantization: Option<&'static str>,
    mismatch: Option<Mismatch>,
}

impl Report {
    /// Look at a model directory whose weights may lie apart, for questions about images of this size.
    pub(super) fn examine(dir: &Path, weights: Option<&Path>, image: (u32, u32)) -> Self {
        let mut report = Self {
            model: dir.into(),
            loadable: false,
            problems: Vec::new(),
            machine: Machine::look(),
            files: files::look(dir),
            weights: None,
            finding: None,
            vae: None,
            image,
            memory: Vec::new(),
        };
        let missing = report.files.iter().filter(|f| f.needed && !f.present);
        let missing: Vec<_> = missing.map(|f| f.name).collect();
        if !missing.is_empty() {
            let text = format!("missing in {}: {}", dir.display(), missing.join(", "));
            report.problems.push(text);
        }
        let config = report.config(dir);
        let transformer = report.look_at_weights(dir, weights, config.as_ref());
        let vae = report.look_at_vae(&dir.join("ae.safetensors"), config.as_ref());
        if let (Some(config), Some(transformer)) = (&config, transformer) {
            let headers = Headers {
                transformer,
                vae: vae.unwrap_or_default(),
            };
            let quantized = report.weights.as_ref().and_then(|file| file.quantization);
            let available = report.machine.memory_available_bytes;
            report.memory = memory::needs(config, &headers, quantized, image, available);
        }
        report.loadable = report.problems.is_empty();
        report
    }

    fn config(&mut self, dir: &Path) -> Option<ModelConfig> {
        let config = ModelConfig::load(dir);
        config
            .map_err(|why| self.problems.push(format!("configuration: {why}")))
            .ok()
    }

    fn look_at_weights(
        &mut self,
        dir: &Path,
        weights: Option<&Path>,
        config: Option<&ModelConfig>,
    ) -> Option<SafetensorsHeader> {
        let options = ModelOptions {
            dir: dir.into(),
            weights: weights.map(Into::into),
            ..ModelOptions::default()
        };
        let path = match options.weights_file() {
            Ok(path) => path,
            Err(error) => {
                self.problems.push(error.to_string());
                return None;
            }
        };
        let mut header = self.header(&path)?;
        let mut dtypes = header.dtypes();
        let quantization = self.add_quantized(&path, &mut header, &mut dtypes);
        let mismatch = config.map(|config| inventory::check(config, &header));
        let file = TensorFile {
            dtypes,
            quantization: quantization.map(Quantization::name),
            ..self.describe(path, &header, mismatch)
        };
        if let (Some(config), Some(mismatch)) = (config, &file.mismatch) {
            self.finding = Some(kind::judge(config, &header, mismatch, &file.path));
        }
        self.weights = Some(file);
        Some(header)
    }

    fn look_at_vae(
        &mut self,
        path: &Path,
        config: Option<&ModelConfig>,
    ) -> Option<SafetensorsHeader> {
        if !path.is_file() {
            return None;
        }
        let header = self.header(path)?;
        let mismatch = config.map(|config| inventory::check_vae(&config.vae, &header));
        self.vae = Some(self.describe(path.into(), &header, mismatch));
        Some(header)
    }

    fn header(&mut self, path: &Path) -> Option<SafetensorsHeader> {
        SafetensorsHeader::read(path)
            .map_err(|why| self.problems.push(format!("{}: {why}", path.display())))
            .ok()
    }

    /// Add the quantised matrices beside the weights, if there are any, and tell how they are quantised.
    fn add_quantized(
        &mut self,
        weights: &Path,
        header: &mut SafetensorsHeader,
        dtypes: &mut BTreeMap<String, usize>,
    ) -> Option<Quantization> {
        let path = quantized_beside(weights);
        if !path.exists() {
            return None;
        }
        let added = GgufFile::open(&path).and_then(|gguf| {
            for (_, dtype, _) in gguf.tensors() {
                *dtypes.entry(format!("{dtype:?}")).or_default() += 1;
            }
            add_matrices(header, &gguf)
        });
        added
            .map_err(|why| self.problems.push(format!("{}: {why}", path.display())))
            .ok()
    }

    fn describe(
        &mut self,
        path: PathBuf,
        header: &SafetensorsHeader,
        mismatch: Option<Mismatch>,
    ) -> TensorFile {
        if let Some(mismatch) = mismatch.as_ref().filter(|m| !m.is_empty()) {
            self.problems
                .push(format!("{}: {mismatch}", path.display()));
        }
        TensorFile {
            path,
            tensors: header.tensors.len(),
            parameters: header.elements(),
            dtypes: header.dtypes(),
            quantization: None,
            mismatch,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(f, "machine", [self.machine.to_string()])?;
        section(f, "model", [self.model.display().to_string()])?;
        section(f, "files", self.files.iter().map(FileState::to_string))?;
        section(f, "weights", self.weights.iter().map(TensorFile::to_string))?;
        section(f, "vae", self.vae.iter().map(TensorFile::to_string))?;
        section(f, "kind", self.finding.iter().flat_map(Finding::lines))?;
        section(f, "memory", memory_lines(&self.memory, self.image))?;
        let problems = self.problems.iter().flat_map(|problem| problem.lines());
        section(f, "problems", problems.map(str::to_owned))?;
        let verdict = if self.loadable {
            "the files are complete and fit together: the model can be loaded"
        } else {
            "the model cannot be loaded: see the problems"
        };
        section(f, "verdict", [verdict.to_owned()])
    }
}

/// Lines with a title before the first one; nothing without lines.
fn section(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    lines: impl IntoIterator<Item = String>,
) -> fmt::Result {
    let titles = std::iter::once(title).chain(std::iter::repeat(""));
    for (title, line) in titles.zip(lines) {
        writeln!(f, "{}", format!("{title:<9} {line}").trim_end())?;
    }
    Ok(())
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match (self.present, self.needed) {
            (true, _) => write!(f, "{name:<26} present"),
            (false, true) => write!(f, "{name:<26} MISSING: {}", self.otherwise),
            (false, false) => write!(f, "{name:<26} not there: {}", self.otherwise),
        }
    }
}

impl fmt::Display for TensorFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtypes: Vec<_> = match self.dtypes.len() {
            1 => self.dtypes.keys().cloned().collect(),
            _ => self
                .dtypes
                .iter()
                .map(|(d, n)| format!("{n} {d}"))
                .collect(),
        };
        write!(
            f,
            "{}: {} tensors, {} parameters, stored as {}",
            self.path.display(),
            self.tensors,
            grouped(self.parameters),
            dtypes.join(" and ")
        )
    }
}

impl Finding {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.kind.describe().to_owned()];
        lines.extend(self.notes.iter().map(|note| format!("- {note}")));
        if self.kind == kind::Kind::CooperStyle {
            lines.push(match self.likely {
                Some("BAGEL") => {
                    "so probably plain BAGEL, which cannot draw depth or segmentation: \
                     name COOPER's weights with --weights"
                        .into()
                }
                Some(SHIPPED) => format!("so probably {SHIPPED}, {SHIPPED_IS}"),
                Some(name) => format!("so probably {name}"),
                None => "nothing around it says which model of this kind it is".into(),
            });
            if self.likely != Some(SHIPPED) {
                lines.push(
                    "(BAGEL, COOPER-AMG and COOPER have the same tensors: headers cannot tell them apart)"
                        .into(),
                );
            }
        }
        lines
    }
}

fn memory_lines(needs: &[Need], (width, height): (u32, u32)) -> Vec<String> {
    let row = |cells: [&str; 7]| {
        let [dtype, weights, vae, contexts, step, total, fits] = cells;
        format!("{dtype:<9} {weights:>10} {vae:>10} {contexts:>10} {step:>10} {total:>10}  {fits}")
    };
    let Some(first) = needs.first() else {
        return Vec::new();
    };
    let head = ["", "weights", "vae", "contexts", "step", "together", ""];
    let mut lines = vec![row(head)];
    lines.extend(needs.iter().map(|need| {
        let plan = &need.plan;
        row([
            &need.dtype,
            &size(plan.matrices + plan.other_weights),
            &size(plan.vae),
            &size(plan.contexts + plan.kept),
            &size(plan.step_bytes),
            &size(need.total_bytes),
            match need.fits {
                Some(true) => "fits here",
                Some(false) => "does not fit here",
                None => "",
            },
        ])
    }));
    lines.push(format!(
        "together: for questions with both maps about images of {width}x{height}; contexts: with kept frames; step: {}",
        first.plan.step
    ));
    let more = needs
        .iter()
        .filter(|need| need.more_while_loading_bytes > 0);
    let more: Vec<_> = more
        .map(|need| format!("{} {}", need.dtype, size(need.more_while_loading_bytes)))
        .collect();
    if !more.is_empty() {
        lines.push(format!(
            "quantised: as `cooper quantize` writes them; while loading, matrices take more: {}",
            more.join(", ")
        ));
    }
    lines
}
