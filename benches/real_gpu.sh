#!/usr/bin/env bash
# Checks and measures Kinora on this machine's GPU, in at most 8 minutes, and writes one report.
#
#   bash benches/real_gpu.sh [--out FOLDER] [--device gpu:0] [--binaries FOLDER] [--small] [--seconds 480]
#   bash benches/real_gpu.sh pack FOLDER
#
# It runs the tests of all ops in f32 and f16, with and without runtime checks, and those of the forms on cooperative matrices; `kinora
# bench` for all kernels in both, with tuning and without; a denoising step of Wan 2.1 1.3B and its decoder at 480x832x81 and 256x448x33
# with random weights; and, where PyTorch with CUDA is, the same sizes in PyTorch. What fails or runs out of time is in the report and
# stops nothing. PYTHON names the interpreter that has PyTorch. The report is FOLDER/report.json and FOLDER/report.html; what each step
# said lies beside them.
#
# `pack` builds the programs, strips them and copies them with this script into a folder, for a machine without Rust: there run
# `bash FOLDER/real_gpu.sh`. `--small` takes sizes that software Vulkan can compute, to see that the script works.
set -uo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
out=real-gpu-report device=gpu:0 binaries="" small=no seconds=480
tests=(ops cooperative_gemm cooperative_attention)

# Builds the program and the tests; what cargo says of them goes to the standard output.
build() {
    (
        cd "$here/.." || exit 1
        cargo build --locked --release --workspace --bin kinora >&2 || exit 1
        flags=()
        for name in "${tests[@]}"; do flags+=(--test "$name"); done
        cargo test --locked --workspace --no-run "${flags[@]}" --message-format json-render-diagnostics
    )
}

# Builds, and copies everything that a run needs into a folder.
pack() {
    local folder="$1" messages name path
    mkdir -p "$folder"
    messages=$(build) || return 1
    cp "$here/../${CARGO_TARGET_DIR:-target}/release/kinora" "$folder/kinora" || return 1
    for name in "${tests[@]}"; do
        path=$(sed -n 's/.*"executable":"\([^"]*\/'"$name"'-[0-9a-f]*\)".*/\1/p' <<<"$messages" | tail -n 1)
        [ -n "$path" ] || { echo "real_gpu: cargo built no test $name" >&2; return 1; }
        cp "$path" "$folder/$name" || return 1
    done
    for name in kinora "${tests[@]}"; do strip "$folder/$name" 2>/dev/null || true; done
    for name in real_gpu.sh real_gpu_models.py real_gpu_report.py real_gpu_torch.py; do
        [ "$here/$name" -ef "$folder/$name" ] || cp "$here/$name" "$folder/$name" || return 1
    done
    git -C "$here" rev-parse HEAD >"$folder/commit" 2>/dev/null || true
}

if [ "${1:-}" = pack ]; then
    [ -n "${2:-}" ] || { echo "usage: bash benches/real_gpu.sh pack FOLDER" >&2; exit 1; }
    pack "$2"
    exit
fi
while [ $# -gt 0 ]; do
    case "$1" in
    --small) small=yes ;;
    --out | --device | --binaries | --seconds)
        [ -n "${2:-}" ] || { echo "real_gpu: $1 needs a value" >&2; exit 1; }
        declare "${1#--}=$2"
        shift
        ;;
    *) echo "real_gpu: unknown argument $1" >&2; exit 1 ;;
    esac
    shift
done
command -v python3 >/dev/null || { echo "real_gpu: python3 writes the report; please install it" >&2; exit 1; }
if [ -z "$binaries" ]; then
    if [ -x "$here/kinora" ]; then
        binaries="$here"
    else
        binaries="$here/../${CARGO_TARGET_DIR:-target}/real-gpu"
        pack "$binaries" || exit 1
    fi
fi
binaries="$(cd "$binaries" && pwd)" || exit 1
mkdir -p "$out" && out="$(cd "$out" && pwd)" || exit 1
rm -rf "$out/steps" && mkdir -p "$out/steps"
kinora="$binaries/kinora"
# Tuning starts from nothing, and leaves nothing behind.
export XDG_CACHE_HOME="$out/cache" LOCALAPPDATA="$out/cache"
rm -rf "$out/cache"
clock=$SECONDS number=0

# Runs a command for at most so many seconds, and keeps what it says: `step NAME EXTENSION SECONDS COMMAND..`.
step() {
    local name="$1" extension="$2" most="$3" left=$((seconds - (SECONDS - clock))) start=$SECONDS status file
    shift 3
    number=$((number + 1))
    file="$out/steps/$(printf '%02d' "$number") $name"
    [ "$most" -le "$left" ] || most="$left"
    if [ "$most" -lt 5 ]; then
        echo "$name: no time left"
        echo "skipped 0 $*" >"$file.status"
        return 0
    fi
    printf '%s: ' "$name"
    limited "$most" "$@" >"$file.$extension" 2>"$file.log"
    status=$?
    echo "$status $((SECONDS - start)) $*" >"$file.status"
    echo "$([ "$status" = 0 ] && echo done || echo "exit status $status"), $((SECONDS - start)) s"
}

# `timeout` where there is one; macOS has none.
limited() {
    local most="$1"
    shift
    if command -v timeout >/dev/null; then
        timeout --kill-after=5 "$most" "$@"
    else
        perl -e 'alarm shift; exec @ARGV' "$most" "$@"
    fi
}

python3 "$here/real_gpu_models.py" "$out/models" || exit 1
wan="$out/models/wan-1.3b" sizes=("832 480 81" "448 256 33") runs=5 tune="" cases=""
if [ "$small" = yes ]; then
    # Software Vulkan is tuned only when asked.
    wan="$out/models/wan-micro" sizes=("64 32 5" "32 32 5") runs=1 tune=--tune cases=unchecked/add
fi

python="${PYTHON:-python3}"
step devices json 30 "$kinora" devices --json
prefix=$(python3 "$here/real_gpu_report.py" test-prefix "$out/steps/01 devices.json" "$device")
bench=("$kinora" bench --device "$device" --json --runs "$runs")
# The cases: in f16 those of the 1.3B, in f32 of several models.
kernels() {
    local precision="$1" wanted=()
    if [ "$small" = yes ]; then
        [ "$precision" = f16 ] && wanted=("1.3B out") || wanted=("default model's")
    fi
    step "kernels in $precision, as the heuristics choose" json 45 "${bench[@]}" --precision "$precision" --no-tune ${wanted[@]+"${wanted[@]}"}
    step "kernels in $precision, tuned" json 75 "${bench[@]}" --precision "$precision" $tune ${wanted[@]+"${wanted[@]}"}
}

# What matters most comes first: the time may not suffice for all.
step "op tests" txt 90 "$binaries/ops" "$prefix/$cases"
kernels f16
for size in "${sizes[@]}"; do
    read -r width height frames <<<"$size"
    step "$(basename "$wan") in f16, ${width}x${height}x$frames" json 120 "$kinora" bench --device "$device" --json --runs 1 \
        --model "$wan" --precision f16 --width "$width" --height "$height" --frames "$frames"
done
if "$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    step "the same in PyTorch" json 100 "$python" "$here/real_gpu_torch.py"
elif [ "$small" = yes ] && "$python" -c 'import torch' 2>/dev/null; then
    step "the same in PyTorch" json 100 "$python" "$here/real_gpu_torch.py" --small
fi
if [ "$small" = no ]; then
    step "tests of products on cooperative matrices" txt 45 "$binaries/cooperative_gemm"
    step "tests of attention on cooperative matrices" txt 45 "$binaries/cooperative_attention"
fi
kernels f32
step "what tuning found" json 20 "$kinora" devices --tuning --json
commit=$(cat "$binaries/commit" 2>/dev/null || echo unknown)
python3 "$here/real_gpu_report.py" write "$out" --commit "$commit" --device "$device" || exit 1
rm -rf "$out/cache" "$out/models"
echo "$((SECONDS - clock)) s; the report is $out/report.html and $out/report.json"
