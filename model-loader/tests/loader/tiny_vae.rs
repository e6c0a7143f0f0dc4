//! Tiny decoders: recognised by their tensors, their config read off the shapes.

use kinora_model_loader::config::TinyVaeConfig;
use kinora_model_loader::{Assembly, Checkpoint, FileContents, LoadError, ModelFolder, NamedFile};
use safetensors::{Dtype, tensor::TensorView};

use crate::{COGVIDEOX, WAN, refused};

const TINY: &[u8] = include_bytes!("../../../tests/fixtures/taehv-wan21/tiny.safetensors");
const TINY_22: &[u8] = include_bytes!("../../../tests/fixtures/taehv-wan22/tiny.safetensors");

fn named(bytes: Vec<u8>) -> NamedFile {
    NamedFile { name: "tiny.safetensors".to_owned(), bytes: bytes.into() }
}

fn over(base: &str, file: &NamedFile) -> Result<ModelFolder, LoadError> {
    let mut assembly = Assembly::new(Some(ModelFolder::open(base).unwrap()));
    assembly.add_part(TinyVaeConfig::COMPONENT, file)?;
    assembly.finish()
}

#[test]
fn the_config_is_read_off_the_shapes() {
    for (bytes, latent_channels, patch_size, widths) in
        [(TINY, 6, 1, [12, 8, 8, 6]), (TINY_22, 48, 2, [8, 6, 4, 8])]
    {
        let folder = over(WAN, &named(bytes.to_vec())).unwrap();
        let config = TinyVaeConfig::load_optional(&folder).unwrap().unwrap();
        let expected = TinyVaeConfig { latent_channels, patch_size, widths, time_factors: [1, 2, 2] };
        assert_eq!(config, expected);
        assert_eq!((config.scale_factor_temporal(), config.scale_factor_spatial()), (4, 8 * patch_size));
        // The half that encodes is left out.
        let weights = Checkpoint::open(&folder, TinyVaeConfig::COMPONENT).unwrap();
        assert!(weights.names().all(|name| name.starts_with("decoder.")));
        // The autoencoder stays.
        assert!(Checkpoint::open(&folder, "vae").unwrap().contains("post_quant_conv.weight"));
    }
    assert_eq!(TinyVaeConfig::load_optional(&ModelFolder::open(WAN).unwrap()).unwrap(), None);
}

#[test]
fn other_kinds_and_other_families_are_refused() {
    let value = [0_u8; 4];
    let names =
        ["decoder.0.weight", "decoder.1.conv.0.weight", "decoder.21.conv.weight", "decoder.22.weight"];
    let views = names.map(|name| (name, TensorView::new(Dtype::F32, vec![1], &value).unwrap()));
    let larger = named(safetensors::serialize(views, None).unwrap());
    refused(
        FileContents::of(&larger),
        &["tiny.safetensors", "TAEHV of the super kind", "decoder.21.conv.weight"],
    );
    refused(over(COGVIDEOX[0], &named(TINY.to_vec())), &["TAEHV", "CogVideoX"]);
    let mut assembly = Assembly::new(Some(ModelFolder::open(WAN).unwrap()));
    refused(assembly.add_part("vae", &named(TINY.to_vec())), &["given as the `vae`", "TAEHV"]);
}
