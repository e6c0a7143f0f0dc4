//! Kernels compiled for chips that are not there, by the driver that users of these chips have.
//!
//! Mesa's Vulkan driver for AMD compiles for any chip that `RADV_FORCE_FAMILY` names. A process must be started with
//! [`environment`]; then [`Compiler::open`] gives the chip's [`Target`], and [`Compiler::compile`] what became of a kernel.
mod assembly;
mod chips;
#[cfg(target_os = "linux")]
mod driver;
#[cfg(not(target_os = "linux"))]
#[path = "compile/elsewhere.rs"]
mod driver;
mod error;
mod estimate;
mod executable;
mod launches;
mod stages;

pub use assembly::{LoopCounts, hottest_loop};
pub use chips::{CACHE_BYTES, CHIPS, Chip, LANES, LDS_BYTES};
pub use error::CompileError;
pub use estimate::{ASSUMPTIONS, Bound, Estimate};
pub use executable::{Executable, Statistics};
pub use launches::{FormLaunch, launches_of};
pub use stages::stage_outlines;

use engine::compute::target::Target;
use shaders::{Kernel, Variant};
use std::{
    collections::HashMap,
    ffi::OsString,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The variables that the driver and the Vulkan loader read when they are loaded.
const FAMILY: &str = "RADV_FORCE_FAMILY";
const DRIVERS: &str = "VK_DRIVER_FILES";
/// Where packages describe their Vulkan drivers.
const FOLDERS: [&str; 3] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];

/// In which subgroups kernels are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subgroups {
    /// As wgpu 30 has it: of any size, so that the driver chooses. RADV takes 64 lanes, or 32 for workgroups that small.
    #[default]
    AsDriven,
    /// Of the size that a variant's constant `LANES` names, where the chip has it.
    AsWritten,
}

/// How kernels are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompileOptions {
    /// In which subgroups.
    pub subgroups: Subgroups,
    /// Whether the machine code is wanted as text, which takes as long as compiling.
    pub assembly: bool,
}

/// A chip's compiler.
#[derive(Debug)]
pub struct Compiler {
    chip: &'static Chip,
    driver: driver::Driver,
}

/// The environment in which a process can open a chip's compiler. It cannot be had later: the loader and the driver read it
/// when they are loaded, and changing it in a running process is not safe.
///
/// # Errors
/// If the driver is not installed.
pub fn environment(chip: &Chip) -> Result<[(&'static str, OsString); 2], CompileError> {
    if !cfg!(target_os = "linux") {
        return Err(CompileError::Platform);
    }
    let icd =
        FOLDERS.iter().find_map(description).ok_or_else(|| CompileError::NoDriver(FOLDERS.join(", ")))?;
    Ok([(FAMILY, chip.name.into()), (DRIVERS, icd.into_os_string())])
}

/// `radeon_icd.json`, or `radeon_icd.x86_64.json`.
fn description(folder: &&str) -> Option<PathBuf> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    names.sort();
    names.into_iter().find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("radeon_icd") && name.ends_with(".json") && !name.contains("i686")
    })
}

/// Whether this process was started with a chip's [`environment`].
pub fn is_prepared(chip: &Chip) -> bool {
    unprepared(chip).is_none()
}

fn unprepared(chip: &Chip) -> Option<&'static str> {
    if std::env::var_os(FAMILY).is_none_or(|family| family != chip.name) {
        return Some(FAMILY);
    }
    std::env::var_os(DRIVERS).is_none().then_some(DRIVERS)
}

impl Compiler {
    /// Opens it, in a process that was started with the chip's [`environment`].
    ///
    /// # Errors
    /// If the process was not, or the driver is not there or does not know the chip.
    pub fn open(chip: &'static Chip) -> Result<Self, CompileError> {
        if let Some(variable) = unprepared(chip) {
            return Err(CompileError::Environment { chip: chip.name, variable });
        }
        Ok(Self { chip, driver: driver::Driver::open(chip)? })
    }

    /// The chip.
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// The driver's name and version.
    pub fn driver_name(&self) -> &str {
        &self.driver.name
    }

    /// The chip as the engine sees it.
    pub fn target(&self) -> &Target {
        &self.driver.target
    }

    /// The chip as an executor sees it that has proven its matrices: the compiler tells the size of a pipeline's subgroups.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn proven_target(&self) -> Result<Target, CompileError> {
        let mut target = self.target().clone();
        for matrices in &mut target.cooperative {
            let alone = Target { cooperative: vec![*matrices], ..self.target().clone() };
            for launch in launches::on_matrices(&alone)? {
                let made = self.compile(launch.kernel, &launch.variant, CompileOptions::default())?;
                if made.misses_lanes_of(&launch.variant).is_none() {
                    matrices.proven_lanes = Some(made.subgroup_size);
                }
            }
        }
        Ok(target)
    }

    /// Compiles a variant.
    ///
    /// # Errors
    /// If the kernel is not valid or the driver refuses it.
    pub fn compile(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
        options: CompileOptions,
    ) -> Result<Executable, CompileError> {
        let as_written = options.subgroups == Subgroups::AsWritten;
        let lanes = variant.consts.get("LANES").copied().filter(|_| as_written);
        self.driver.compile(kernel, variant, lanes, options.assembly)
    }

    /// Compiles launches on all cores, equal variants once; in their order.
    ///
    /// # Errors
    /// As [`Compiler::compile`], of the first that fails.
    pub fn compile_all(
        &self,
        launches: &[FormLaunch],
        options: CompileOptions,
    ) -> Result<Vec<Executable>, CompileError> {
        let mut distinct: Vec<(&'static Kernel, &Variant)> = Vec::new();
        let mut places: HashMap<(&'static Kernel, &Variant), usize> = HashMap::new();
        let indices: Vec<usize> = launches
            .iter()
            .map(|launch| {
                let key = (launch.kernel, &launch.variant);
                *places.entry(key).or_insert_with(|| {
                    distinct.push(key);
                    distinct.len() - 1
                })
            })
            .collect();
        let made = on_all_cores(distinct.len(), |index| {
            let (kernel, variant) = distinct[index];
            self.compile(kernel, variant, options)
        });
        let made = made.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(indices.into_iter().map(|index| made[index].clone()).collect())
    }
}

/// What `work` makes of each number below `count`, in their order.
fn on_all_cores<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let part = || {
        let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < count);
        std::iter::from_fn(take).map(|index| (index, work(index))).collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut made: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(part)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<(usize, T)>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    });
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, result)| result).collect()
}
