//! Results that cannot be right stop a run with their cause: there is no silent black or grey video.
use engine::{
    compute::nn::Precision,
    pipeline::{Cause, DeviceChoice, EngineError, Fault, FaultyStage, JobOptions, Request},
};
use kinora_tests::{Golden, parity, run};
use model_loader::ModelFolder;

fn request(golden: &Golden) -> Request {
    Request { num_inference_steps: Some(2), initial_latents: None, ..golden.request() }
}

fn outcome(golden: &Golden, model: &ModelFolder, precision: Precision) -> Result<(), EngineError> {
    let device = match precision {
        Precision::F32 | Precision::Bf16 => DeviceChoice::Cpu,
        Precision::F16 => DeviceChoice::Gpu(Some(run::main_adapter().index)),
    };
    parity::run_model(model, &request(golden), JobOptions::default(), device, precision).map(drop)
}

#[test]
fn frames_of_one_colour_stop_the_run() {
    let golden = Golden::open("wan-f16");
    // A bias alone is left: one value for each colour.
    let (model, _) = golden.damaged("vae/", "decoder.conv_out.weight", |bytes| bytes.fill(0));
    let error = outcome(&golden, &model, Precision::F32).unwrap_err();
    let EngineError::Broken { stage: FaultyStage::Frames, fault: Fault::Constant, cause } = &error else {
        panic!("{error}");
    };
    assert_eq!(*cause, Cause::Unknown);
    assert!(error.to_string().starts_with("the decoded frames are all the same: "), "{error}");
}

#[test]
fn an_overflow_in_f16_is_called_that() {
    let golden = Golden::open("wan-bf16");
    // The largest numbers of bf16 are finite, and far beyond those of f16.
    let (model, _) = golden.damaged("transformer/", "blocks.0.ffn.net.0.proj.bias", |bytes| {
        bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|half| *half = 0x4B00_u16.to_le_bytes());
    });
    outcome(&golden, &model, Precision::F32).unwrap_or_else(|e| panic!("{e}"));
    let error = outcome(&golden, &model, Precision::F16).unwrap_err();
    let EngineError::Broken { stage, fault, cause } = &error else { panic!("{error}") };
    assert!(matches!(stage, FaultyStage::Latents { .. }), "{error}");
    assert_eq!((*fault, cause), (Fault::NotFinite, &Cause::Overflow));
    assert!(error.to_string().contains("overflow in f16"), "{error}");
}
