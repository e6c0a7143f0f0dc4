//! CogVideoX's schedulers: published configs are read, others are refused by name.

use kinora_model_loader::ModelFolder;
use kinora_model_loader::config::{ModelScheduler, PredictionType, SchedulerConfig, TimestepSpacing};
use serde_json::{Value, json};

use crate::{COGVIDEOX, Copy, WAN, refused};

/// As published with CogVideoX 2B.
fn published(class: &str) -> Value {
    json!({"_class_name": class, "_diffusers_version": "0.30.0.dev0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "clip_sample_range": 1.0,
        "num_train_timesteps": 1000, "prediction_type": "v_prediction", "rescale_betas_zero_snr": true,
        "sample_max_value": 1.0, "set_alpha_to_one": true, "snr_shift_scale": 3.0, "steps_offset": 0,
        "timestep_spacing": "trailing", "trained_betas": null})
}

fn parse(json: &Value) -> kinora_model_loader::Result<SchedulerConfig> {
    SchedulerConfig::from_json("f.json", json.to_string().as_bytes())
}

#[test]
fn published_configs_are_read() {
    let ddim = parse(&published("CogVideoXDDIMScheduler")).unwrap();
    let dpm = parse(&published("CogVideoXDPMScheduler")).unwrap();
    let (SchedulerConfig::CogVideoXDdim(config), SchedulerConfig::CogVideoXDpm(same)) = (&ddim, &dpm) else {
        panic!("{ddim:?} {dpm:?}")
    };
    assert_eq!(config, same);
    assert_eq!((config.num_train_timesteps, config.steps_offset), (1000, 0));
    assert_eq!((config.beta_start, config.beta_end, config.snr_shift_scale), (0.000_85, 0.012, 3.0));
    assert_eq!(config.prediction_type, PredictionType::Velocity);
    assert_eq!(config.timestep_spacing, TimestepSpacing::Trailing);
    assert!(config.set_alpha_to_one && config.rescale_betas_zero_snr);
    assert_eq!((ddim.num_train_timesteps(), ddim.flow_shift()), (1000, None));
}

#[test]
fn absent_keys_have_the_defaults_of_the_library() {
    let config = parse(&json!({"_class_name": "CogVideoXDPMScheduler"})).unwrap();
    let SchedulerConfig::CogVideoXDpm(config) = config else { panic!("{config:?}") };
    assert_eq!(config.prediction_type, PredictionType::Epsilon);
    assert_eq!(config.timestep_spacing, TimestepSpacing::Leading);
    assert_eq!((config.set_alpha_to_one, config.rescale_betas_zero_snr), (true, false));
    assert_eq!(config.snr_shift_scale, 3.0);
}

#[test]
fn other_values_are_read() {
    let mut json = published("CogVideoXDDIMScheduler");
    json["prediction_type"] = "sample".into();
    json["timestep_spacing"] = "linspace".into();
    json["steps_offset"] = 999.into();
    let SchedulerConfig::CogVideoXDdim(config) = parse(&json).unwrap() else { panic!() };
    assert_eq!(config.prediction_type, PredictionType::Sample);
    assert_eq!((config.timestep_spacing, config.steps_offset), (TimestepSpacing::Linspace, 999));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let cases: [(&str, Value, &[&str]); 15] = [
        ("prediction_type", json!("flow_prediction"), &["\"flow_prediction\"", "v_prediction"]),
        ("prediction_type", json!(null), &["null"]),
        ("timestep_spacing", json!("karras"), &["\"karras\"", "trailing"]),
        ("beta_schedule", json!("squaredcos_cap_v2"), &["\"squaredcos_cap_v2\"", "scaled_linear"]),
        ("trained_betas", json!([0.1]), &["[0.1]"]),
        ("num_train_timesteps", json!(0), &["0"]),
        ("num_train_timesteps", json!(-5), &["-5"]),
        ("beta_start", json!(0.0), &["0.0", "greater than 0"]),
        ("beta_end", json!(1.0), &["1.0", "between 0 and 1"]),
        ("steps_offset", json!(1000), &["1000", "less than num_train_timesteps"]),
        ("steps_offset", json!(u64::MAX), &["18446744073709551615"]),
        ("snr_shift_scale", json!(-1.0), &["-1.0"]),
        ("snr_shift_scale", json!("3"), &["\"3\"", "a number"]),
        ("set_alpha_to_one", json!(1), &["1", "true or false"]),
        ("rescale_betas_zero_snr", json!("yes"), &["\"yes\""]),
    ];
    for (key, value, things) in cases {
        let mut json = published("CogVideoXDDIMScheduler");
        json[key] = value;
        refused(parse(&json), &[&["f.json", key], things].concat());
    }
}

/// The small model with this scheduler.
fn model(fixture: &str, scheduler: &Value) -> ModelFolder {
    Copy::of(fixture).with("scheduler/scheduler_config.json", scheduler.to_string()).open()
}

#[test]
fn what_an_unsupported_scheduler_says_serves_another_one() {
    let load = |fixture, scheduler: Value| {
        let scheduler = ModelScheduler::load(&model(fixture, &scheduler), "scheduler").unwrap();
        (scheduler.config, scheduler.unsupported.unwrap())
    };
    // Keys of DPM++: some fit, some do not.
    let (config, reason) = load(
        WAN,
        json!({"_class_name": "DPMSolverMultistepScheduler", "flow_shift": 5.0, "num_train_timesteps": 500,
            "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "solver_order": 3,
            "prediction_type": "epsilon", "use_karras_sigmas": true}),
    );
    let SchedulerConfig::UniPc(unipc) = config else { panic!("{config:?}") };
    assert_eq!((unipc.flow_shift, unipc.num_train_timesteps, unipc.solver_order), (5.0, 500, 3));
    for thing in
        ["scheduler_config.json`", "DPMSolverMultistepScheduler", "supported: FlowMatchEuler", "UniPC"]
    {
        assert!(reason.contains(thing), "{reason}");
    }
    assert!(!reason.contains("CogVideoX"), "{reason}");

    for (scheduler, shift) in [
        (json!({"_class_name": "FlowMatchHeunDiscreteScheduler", "shift": 8.0}), 8.0),
        (json!({"_class_name": "FlowMatchHeunDiscreteScheduler", "shift": "wide"}), 3.0),
        (json!({"_class_name": "DDIMScheduler"}), 3.0),
        (json!({"_class_name": "CogVideoXDPMScheduler", "num_train_timesteps": "many"}), 3.0),
        (
            json!({"_class_name": "UniPCMultistepScheduler", "prediction_type": "epsilon", "flow_shift": 2.0}),
            2.0,
        ),
    ] {
        let (config, _) = load(WAN, scheduler);
        assert_eq!((config.flow_shift(), config.num_train_timesteps()), (Some(shift), 1000));
    }

    let (config, reason) = load(
        COGVIDEOX[0],
        json!({"_class_name": "DPMSolverMultistepScheduler", "snr_shift_scale": 3.0, "beta_end": 0.02,
            "prediction_type": "sample", "timestep_spacing": "other", "trained_betas": [0.5]}),
    );
    let SchedulerConfig::CogVideoXDdim(ddim) = config else { panic!("{config:?}") };
    assert_eq!((ddim.snr_shift_scale, ddim.beta_start, ddim.beta_end), (3.0, 0.000_85, 0.02));
    assert_eq!(ddim.prediction_type, PredictionType::Sample);
    assert_eq!(ddim.timestep_spacing, TimestepSpacing::Trailing);
    assert!(reason.contains("CogVideoXDDIMScheduler, CogVideoXDPMScheduler"), "{reason}");
    let (config, _) = load(COGVIDEOX[0], json!({"_class_name": "UniPCMultistepScheduler"}));
    let SchedulerConfig::CogVideoXDdim(ddim) = config else { panic!("{config:?}") };
    assert_eq!((ddim.snr_shift_scale, ddim.prediction_type), (1.0, PredictionType::Velocity));
    assert!(ddim.rescale_betas_zero_snr);
}

#[test]
fn a_damaged_scheduler_is_refused_whatever_is_chosen() {
    let load = |scheduler: Value| ModelScheduler::load(&model(WAN, &scheduler), "scheduler");
    refused(load(json!({"shift": 3.0})), &["scheduler_config.json", "`_class_name`"]);
    refused(load(json!([])), &["scheduler_config.json"]);
    let damaged = json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": "3"});
    refused(load(damaged), &["scheduler_config.json", "`shift`", "a number"]);
}
