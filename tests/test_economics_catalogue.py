from __future__ import annotations

import json

import pandas as pd
import pytest

from slmkit.economics import catalogue
from slmkit.economics.architecture import architecture, architectures, number_format
from slmkit.economics.tables import read
from slmkit.errors import InputError

GIB = 1024**3
# Parameters as the hub counts them in the published weights, in billions.
PUBLISHED = {
    "Llama-3.1-8B": 8.030,
    "Llama-3.1-70B": 70.554,
    "Llama-3.1-405B": 405.853,
    "Llama-3.2-1B": 1.236,
    "Llama-2-7B": 6.738,
    "Qwen2.5-0.5B": 0.494,
    "Qwen2.5-72B": 72.706,
    "Qwen3-8B": 8.191,
    "Qwen3-30B-A3B": 30.532,
    "Qwen3-235B-A22B": 235.094,
    "Mixtral-8x7B": 46.703,
    "Mixtral-8x22B": 140.621,
    "DeepSeek-V3": 671.026,
    "gpt-oss-20b": 20.915,
    "gpt-oss-120b": 116.829,
    "Gemma-2-9B": 9.242,
    "Phi-3-mini": 3.821,
    "SmolLM2-135M": 0.1345,
    "Mistral-7B-v0.2": 7.242,
    "GPT-3-175B": 174.6,
}
# Active parameters as the model cards state them, in billions.
ACTIVE = {"Mixtral-8x7B": 12.9, "DeepSeek-V3": 37, "gpt-oss-120b": 5.1, "Qwen3-235B-A22B": 22, "Kimi-K2": 32}


@pytest.mark.parametrize(("name", "billions"), PUBLISHED.items())
def test_parameters_are_counted_to_one_percent(name, billions):
    assert architecture(name).params / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize(("name", "billions"), ACTIVE.items())
def test_active_parameters_match_the_model_cards(name, billions):
    assert architecture(name).active_params / 1e9 == pytest.approx(billions, rel=0.04)


def test_counts_agree_with_every_published_count_of_the_table():
    table = architectures().dropna(subset=["published_params_bn"])
    assert len(table) >= 40
    assert ((table["params"] / 1e9 / table["published_params_bn"] - 1).abs() < 0.01).all()


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("Llama-3.1-8B", 2 * 32 * 8 * 128 * 2),
        ("Llama-3.1-70B", 2 * 80 * 8 * 128 * 2),
        ("DeepSeek-V3", 61 * (512 + 64) * 2),
        ("gpt-oss-120b", 2 * 36 * 8 * 64 * 2),
    ],
)
def test_cache_of_a_token(name, bytes_per_token):
    assert architecture(name).kv_bytes_per_token() == bytes_per_token
    assert architecture(name).kv_bytes_per_token("fp8") == bytes_per_token / 2


def test_a_window_bounds_the_cache_of_its_layers():
    arch = architecture("Gemma-3-27B")  # 52 of 62 layers look back 1024 tokens
    layer = 2 * arch.kv_heads * arch.head_dim * 2
    assert arch.kv_bytes(500) == 62 * 500 * layer
    assert arch.kv_bytes(10_000) == (10 * 10_000 + 52 * 1024) * layer


def test_weight_bytes_by_format():
    arch = architecture("Llama-3.1-8B")
    embeddings = 2 * 128256 * 4096  # stay 16-bit
    assert arch.weight_bytes("bf16") == pytest.approx(2 * arch.params, rel=1e-3)
    assert arch.weight_bytes("fp8") == pytest.approx(arch.params - embeddings + 2 * embeddings, rel=1e-3)
    oss = architecture("gpt-oss-120b")  # experts are stored in 4 bits, whatever it is served in
    assert oss.weight_bytes("bf16") == oss.weight_bytes("fp4")
    assert 60e9 < oss.weight_bytes("bf16") < 70e9  # the published files have 65 GB


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
        ("llama-3.1-8b", "Llama-3.1-8B"),
        ("Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "Llama-3.1-8B"),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", "Llama-3.1-70B"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "Qwen3-235B-A22B"),
        ("nvidia/DeepSeek-R1-0528-FP4", "DeepSeek-V3"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "Mistral-7B-v0.2"),
        ("Qwen3-Coder-30B-A3B-Instruct", "Qwen3-30B-A3B"),
        ("google/gemma-3-27b-it", "Gemma-3-27B"),
        ("DeepSeek-R1-Distill-Qwen-14B", "Qwen2.5-14B"),
    ],
)
def test_suffixes_resolve_to_the_architecture(alias, name):
    assert architecture(alias).name == name


@pytest.mark.parametrize("near", ["Llama-3.1-80B", "Qwen3-9B", "Mixtral-8x8B"])
def test_a_near_name_is_not_taken_for_another_size(near):
    with pytest.raises(InputError, match="did you mean"):
        architecture(near)


def test_nearly_all_measured_rows_resolve():
    rows = catalogue.measured()

    def known(model: str) -> bool:
        try:
            return bool(architecture(model))
        except InputError:
            return False

    resolved = {model: known(model) for model in rows["model"].unique()}
    assert rows["model"].map(resolved).mean() >= 0.95
    assert rows["hardware"].map(catalogue.find).notna().mean() >= 0.95


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("h100", "H100-SXM"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM"),
        ("H100-PCIe", "H100-PCIe"),
        ("GB200", "GB200"),
        ("Virtualized H200-SXM-141GB", "H200-SXM"),
        ("MI325X 256GB HBM3e", "MI325X"),
        ("rtx 4090", "RTX-4090"),
    ],
)
def test_names_of_devices(alias, name):
    assert catalogue.gpu(alias).name == name


def test_memory_is_in_bytes_not_in_marketing_gigabytes():
    assert catalogue.gpu("h100").memory_bytes == 80 * GIB
    assert catalogue.gpu("h200").memory_bytes == 141 * GIB
    assert catalogue.gpu("h100").bandwidth_bytes_s == 3.35e12


def test_a_format_without_units_runs_on_the_16_bit_ones():
    assert catalogue.gpu("a100").peak("fp8") == catalogue.gpu("a100").peak("bf16") == 312e12
    assert catalogue.gpu("h100").peak("fp8") == 1978e12


def test_unknown_names_offer_the_nearest():
    with pytest.raises(InputError, match="H100"):
        catalogue.gpu("H101-SXM")
    with pytest.raises(InputError, match=r"Llama-3\.1-8B"):
        architecture("Llama-3.1-9B")
    with pytest.raises(InputError, match="bf16"):
        number_format("bf17")


@pytest.mark.parametrize(
    "name", ["gpus.csv", "models.csv", "gpu_rents.csv", "api_prices.csv", "measured_throughput.csv"]
)
def test_every_row_has_a_source_and_a_date(name):
    table = read(name)
    source = table["source_url"] if name == "measured_throughput.csv" else table["source"]
    assert source.notna().all()
    assert table["as_of"].astype(str).str.contains(r"20\d\d").all()


def test_names_and_aliases_are_unambiguous():
    for name in ("gpus.csv", "models.csv"):
        table = read(name)
        every = list(table["name"]) + [alias for names in table["aliases"].dropna() for alias in names.split(";")]
        assert len({word.lower() for word in every}) == len(every)


def test_edge_devices_and_rents_are_there():
    kinds = catalogue.gpus()["kind"].value_counts()
    assert kinds["edge"] >= 10 and kinds["phone"] >= 1
    rents = catalogue.rents()
    assert rents["device"].notna().mean() > 0.9
    assert (rents["usd_per_gpu_hour"] > 0).all()


def write_config(folder, **fields) -> str:
    (folder / "config.json").write_text(json.dumps(fields))
    return str(folder)


TINY = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2}
TINY |= {"intermediate_size": 688, "vocab_size": 1000}
MLA = TINY | {"num_key_value_heads": 8, "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
MLA |= {"first_k_dense_replace": 2, "q_lora_rank": 64, "kv_lora_rank": 32, "qk_rope_head_dim": 16, "n_group": 2}
MLA |= {"qk_nope_head_dim": 32, "v_head_dim": 32, "topk_group": 1, "model_type": "deepseek_v3"}


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": "llama"} | TINY,
        {"model_type": "qwen3", "head_dim": 64} | TINY,
        {"model_type": "gemma3_text", "head_dim": 32} | TINY,
        {"model_type": "mixtral", "num_local_experts": 4} | TINY,
        {"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64} | TINY,
        {"model_type": "gpt_oss", "head_dim": 32, "num_local_experts": 4, "num_experts_per_tok": 2} | TINY,
        {"model_type": "gpt_neox", "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8}
        | {"intermediate_size": 1024, "vocab_size": 1000},
        {"model_type": "falcon", "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8}
        | {"vocab_size": 1000, "multi_query": True},
        {"model_type": "lfm2", "block_auto_adjust_ff_dim": False} | TINY,
        MLA,
    ],
    ids=lambda fields: fields["model_type"],
)
def test_a_config_counts_what_transformers_builds(tmp_path, fields):
    import torch
    import transformers

    config = transformers.AutoConfig.for_model(**fields)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    built = sum(weights.numel() for weights in model.parameters())
    assert architecture(tmp_path).params == pytest.approx(built, rel=0.01)


def test_our_own_models_are_read_from_their_folder():
    from slmkit.config import resource

    arch = architecture(resource("data/mini/mini-2m"))
    assert arch.params == pytest.approx(2_165_760, rel=0.001)
    assert arch.mixer_layers > 0


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"hidden_size": 64}, "no num_hidden_layers"),
        (TINY | {"hidden_size": "wide"}, "hidden_size is 'wide'"),
        (TINY | {"num_attention_heads": 0}, "heads is 0"),
        (TINY | {"model_type": "mamba"}, "mamba layers are not counted"),
    ],
)
def test_a_broken_config_is_named_with_its_field(tmp_path, fields, complaint):
    with pytest.raises(InputError, match=complaint):
        architecture(write_config(tmp_path, **fields))


def test_a_config_that_is_no_json(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        architecture(tmp_path)
    with pytest.raises(InputError, match="unknown model"):
        architecture(str(tmp_path / "elsewhere"))


def test_a_folder_without_a_config_is_said_to_be_one(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        architecture(str(tmp_path))


def test_tables_are_copies():
    table = catalogue.gpus()
    table.loc[0, "name"] = "changed"
    assert isinstance(catalogue.gpus(), pd.DataFrame)
    assert catalogue.gpus().loc[0, "name"] != "changed"
