//! Reads what the driver tells of a compiled pipeline.
use crate::compile::{Executable, Statistics};
use ash::{khr, vk};
use std::ffi::CStr;

/// Reads it from a pipeline made with the flags to capture statistics and, if it is wanted, the assembly.
pub(super) fn read(
    extension: &khr::pipeline_executable_properties::Device,
    device: &ash::Device,
    pipeline: vk::Pipeline,
    with_assembly: bool,
) -> Result<Executable, vk::Result> {
    let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
    // SAFETY: the pipeline is alive and was made with the flag that keeps statistics, here and below.
    let executables = unsafe { extension.get_pipeline_executable_properties(&info) }?;
    let subgroup_size = executables.first().map_or(0, |executable| executable.subgroup_size);
    let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
    // SAFETY: a compute pipeline has one executable, number 0.
    let listed = unsafe { extension.get_pipeline_executable_statistics(&info) }?;
    let mut statistics = Statistics::default();
    for statistic in &listed {
        let name = statistic.name_as_c_str().map(CStr::to_string_lossy).unwrap_or_default();
        set(&mut statistics, &name, value(statistic));
    }
    let assembly = if with_assembly { assembly(extension, device, &info)? } else { None };
    Ok(Executable { subgroup_size, statistics, assembly })
}

/// Takes the number that the driver gives this name.
fn set(statistics: &mut Statistics, name: &str, value: u64) {
    let place = match name {
        "VGPRs" => &mut statistics.vgprs,
        "SGPRs" => &mut statistics.sgprs,
        "Spilled VGPRs" => &mut statistics.spilled_vgprs,
        "Spilled SGPRs" => &mut statistics.spilled_sgprs,
        "Scratch size" => &mut statistics.scratch_bytes,
        "LDS size" => &mut statistics.lds_bytes,
        "Subgroups per SIMD" => &mut statistics.subgroups_per_simd,
        "Code size" => &mut statistics.code_bytes,
        "Instructions" => &mut statistics.instructions,
        "Latency" => &mut statistics.latency_cycles,
        "Inverse Throughput" => &mut statistics.throughput_cycles,
        _ => return,
    };
    *place = value;
}

fn value(statistic: &vk::PipelineExecutableStatisticKHR<'_>) -> u64 {
    // SAFETY: the format says which member of the union is set; all are plain numbers.
    unsafe {
        match statistic.format {
            vk::PipelineExecutableStatisticFormatKHR::BOOL32 => u64::from(statistic.value.b32),
            vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64,
            vk::PipelineExecutableStatisticFormatKHR::INT64 => statistic.value.i64.try_into().unwrap_or(0),
            _ => 0,
        }
    }
}

/// The text of the representation `Assembly`.
fn assembly(
    extension: &khr::pipeline_executable_properties::Device,
    device: &ash::Device,
    info: &vk::PipelineExecutableInfoKHR<'_>,
) -> Result<Option<String>, vk::Result> {
    let read = extension.fp().get_pipeline_executable_internal_representations_khr;
    let mut count = 0;
    // SAFETY: with no array the call writes the count; the pipeline was made with the flag that keeps representations.
    unsafe { read(device.handle(), info, &mut count, std::ptr::null_mut()) }.result()?;
    let mut found = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
    // SAFETY: the array has `count` elements without memory for texts, so that their sizes are written.
    unsafe { read(device.handle(), info, &mut count, found.as_mut_ptr()) }.result()?;
    let mut texts: Vec<Vec<u8>> = found.iter().map(|one| vec![0; one.data_size]).collect();
    for (one, text) in found.iter_mut().zip(&mut texts) {
        one.p_data = text.as_mut_ptr().cast();
    }
    // SAFETY: each element points to as many bytes as the driver asked for.
    unsafe { read(device.handle(), info, &mut count, found.as_mut_ptr()) }.result()?;
    let position = found.iter().position(|one| one.name_as_c_str() == Ok(c"Assembly"));
    let text = position.and_then(|index| texts.get(index));
    Ok(text.map(|bytes| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }))
}
