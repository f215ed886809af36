#!/usr/bin/env python3
"""Adapters of this program and of PEFT, in both directions.

    pip install torch transformers peft safetensors numpy
    python3 Tests/Adapters/check_peft.py .build/release/lasp-train      # compares, in a temporary folder
    python3 Tests/Adapters/check_peft.py --make Tests/Adapters          # makes the fixtures anew

Names of cases after these mean only those.

A tiny model and adapters of it are made with PEFT; the program must give PEFT's logits. Then the program trains
adapters of its own, PEFT opens them, and must give the program's; and the merged model must give the same again.
Differences are relative L2, in float32.
"""
import json
import os
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MambaConfig

TOLERANCE = 2e-5


def llama():
    return LlamaConfig(
        vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        tie_word_embeddings=False)


def mamba():
    return MambaConfig(
        vocab_size=48, hidden_size=16, state_size=4, num_hidden_layers=2, expand=2, conv_kernel=4,
        time_step_rank=3, tie_word_embeddings=False, use_cache=False)


# Name, the base's configuration, and what PEFT is asked for.
CASES = [
    ("llama_suffixes", llama, dict(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "o_proj", "up_proj"],
        rank_pattern={"layers.1.self_attn.q_proj": 2}, alpha_pattern={"up_proj": 7})),
    ("llama_pattern", llama, dict(
        r=2, lora_alpha=4, use_rslora=True,
        target_modules=r".*\.(self_attn\.[qk]_proj|mlp\.down_proj)", modules_to_save=["lm_head"])),
    ("llama_layers", llama, dict(
        r=4, lora_alpha=8, target_modules=["k_proj", "gate_proj", "lm_head"],
        layers_to_transform=[1])),
    ("mamba_suffixes", mamba, dict(
        r=3, lora_alpha=6, target_modules=["in_proj", "x_proj"])),
]


def spread(model, seed):
    """Weights so large that everything matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if name.endswith("A_log") or name.endswith(".D"):
            continue
        noise = torch.randn(weight.shape, generator=generator)
        weight.data = 1 + 0.2 * noise if weight.dim() == 1 and "norm" in name else 0.25 * noise


def make(folder, name, configuration, options):
    """Writes a base model, an adapter of it, tokens, and PEFT's logits."""
    here = os.path.join(folder, name)
    base = os.path.join(here, "base")
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(configuration(), dtype=torch.float32)
    spread(model, 2)
    model.save_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", bias="none", **options))
    generator = torch.Generator().manual_seed(3)
    for key, weight in adapted.named_parameters():
        if "lora_B" in key or "modules_to_save" in key:
            weight.data = 0.25 * torch.randn(weight.shape, generator=generator)
    adapted.save_pretrained(os.path.join(here, "adapter"))
    for file in ("README.md",):
        path = os.path.join(here, "adapter", file)
        if os.path.exists(path):
            os.remove(path)
    # A path that holds on every machine: relative to the adapter.
    path = os.path.join(here, "adapter", "adapter_config.json")
    keys = json.load(open(path))
    keys["base_model_name_or_path"] = "../base"
    json.dump(keys, open(path, "w"), indent=2, sort_keys=True)
    tokens = torch.randint(0, 48, (2, 21), generator=generator)
    save_file({"input_ids": tokens}, os.path.join(here, "tokens.safetensors"))
    save_file({"logits": logits(adapted, tokens)}, os.path.join(here, "expected.safetensors"))
    return here


def logits(model, tokens):
    """In float64, rounded once."""
    with torch.no_grad():
        return model.double().eval()(input_ids=tokens, use_cache=False).logits.float().contiguous()


def difference(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def check(program, here, options):
    failed = []

    def run(*arguments):
        subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)

    def evaluate(*model):
        out = os.path.join(here, "out.safetensors")
        run("evaluate", *model, "--tokens", os.path.join(here, "tokens.safetensors"), "--output", out)
        return load_file(out)["logits"]

    def compare(what, found, right):
        error = difference(found, right)
        print(f"  {what}: {error:.1e}")
        if not error < TOLERANCE:
            failed.append(what)

    base, adapter = os.path.join(here, "base"), os.path.join(here, "adapter")
    tokens = load_file(os.path.join(here, "tokens.safetensors"))["input_ids"]
    right = load_file(os.path.join(here, "expected.safetensors"))["logits"]
    compare("PEFT's adapter, read here", evaluate(adapter), right)
    compare("beside its base", evaluate(base, "--adapter", adapter), right)
    merged = os.path.join(here, "merged")
    run("export", adapter, merged, "--merge")
    compare("merged here", evaluate(merged), right)
    model = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    compare("merged here, read by transformers", logits(model, tokens), right)

    # The other way: adapters that are trained here.
    targets = options["target_modules"]
    trained = os.path.join(here, "run")
    run(
        "train", f"--model.from={base}", f"--log.directory={trained}", "--training.steps=3",
        "--training.batch=2", "--sequence.length=24", "--evaluation.every=0",
        "--data.task=recall", "--optimizer.learning_rate=0.05", "--lora.rank=3", "--lora.alpha=5",
        "--lora.targets=" + (targets if isinstance(targets, str) else f"[{', '.join(targets)}]"),
        *([f"--lora.modules_to_save={m}" for m in options.get("modules_to_save", [])]),
        *(["--lora.rslora=true"] if options.get("use_rslora") else []), "--overwrite")
    written = os.path.join(trained, "adapter")
    here_logits = evaluate(written)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    without = logits(model, tokens)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    compare("trained here, read by PEFT", here_logits, logits(PeftModel.from_pretrained(model, written), tokens))
    if not difference(here_logits, without) > 1e-3:
        failed.append("training changed nothing")
    return failed


def main():
    if len(sys.argv) < 2 or (sys.argv[1] == "--make" and len(sys.argv) < 3):
        sys.exit(__doc__)
    names = sys.argv[3 if sys.argv[1] == "--make" else 2:]
    cases = [case for case in CASES if not names or case[0] in names]
    if sys.argv[1] == "--make":
        for case in cases:
            print(make(sys.argv[2], *case))
        return
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            print(case[0])
            failed += check(os.path.abspath(sys.argv[1]), make(folder, *case), case[2])
    if failed:
        sys.exit("above the tolerance: " + ", ".join(failed))


main()
