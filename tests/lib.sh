# shellcheck shell=bash
# What `demo`, `run` and `.ci/run` share: tools, the Python environment, the binary, a local AWS, and an orderly end.
# Sourced, never run. Knows nothing of what is shown or tested.
#
#   SEALGATE_VENV      the Python environment        [default: .venv in the root]
#   SEALGATE_BIN       a binary to use as it is      [default: cargo builds one]
#   CARGO_TARGET_DIR   where cargo builds            [default: target in the root]
#   PYTHON             the Python to make it with    [default: the first of python3, python3.14 … python3.11 that fits]

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${SEALGATE_VENV:-$ROOT/.venv}
[[ $VENV == /* ]] || VENV=$PWD/$VENV
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/sealgate.XXXXXX")
CHILDREN=() # process groups of what `in_background` started and nobody has waited for

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' CYAN=$'\e[36m' PLAIN=$'\e[0m'
else
    BOLD='' DIM='' RED='' GREEN='' CYAN='' PLAIN=''
fi

# die LINE…: says what to do, and ends.
die() {
    printf '%s%s: %s%s\n' "$RED" "$(basename "$0")" "$*" "$PLAIN" >&2
    exit 1
}

# now: seconds, with three digits.
now() { local microseconds=${EPOCHREALTIME/[.,]/}; printf '%s.%s' "${microseconds:0:-6}" "${microseconds: -6:3}"; }

# since START: seconds since then, with one digit.
since() { awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.1f", to - from }'; }

# ---- processes: whatever was started here ends with us -----------------------------------------------------------------

# in_background LOG COMMAND…: starts it in a process group of its own, so that it ends with its children; its id is in $LAST.
in_background() {
    local log=$1
    shift
    : >"$log" # so that a reader finds it at once
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    LAST=$!
    set +m
    CHILDREN+=("$LAST")
}

# finish ID: waits for it, and returns what it returned.
finish() {
    local code=0 child left=()
    wait "$1" 2>/dev/null || code=$?
    for child in "${CHILDREN[@]}"; do [[ $child == "$1" ]] || left+=("$child"); done
    CHILDREN=(${left[@]+"${left[@]}"})
    return "$code"
}

# stop ID: asks it to end, and insists after 15 seconds (the gateway takes at most 10 for its calls).
stop() {
    local tries
    kill -TERM -- "-$1" 2>/dev/null || true
    for ((tries = 0; tries < 150; tries++)); do
        kill -0 -- "-$1" 2>/dev/null || break
        [[ -n $(jobs -rp | grep -x "$1") ]] || break
        sleep 0.1
    done
    kill -KILL -- "-$1" 2>/dev/null || true
    finish "$1" || true
}

# The last thing that happens, whatever happened before.
end() {
    local code=$? index
    trap '' INT TERM HUP
    for ((index = ${#CHILDREN[@]} - 1; index >= 0; index--)); do stop "${CHILDREN[index]}"; done
    rm -rf "$SCRATCH"
    exit "$code"
}
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# quietly LABEL COMMAND…: runs it; shows one live line on a terminal, its last output where it fails, else nothing.
quietly() {
    local label=$1 started=$SECONDS log code=0
    shift
    log=$(mktemp "$SCRATCH/log.XXXXXX")
    in_background "$log" "$@"
    while [[ -t 2 ]] && kill -0 "$LAST" 2>/dev/null; do
        printf '\r\e[K    %s … %d s  %s%s%s' "$label" $((SECONDS - started)) "$DIM" "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-70)" "$PLAIN" >&2
        sleep 0.2
    done
    [[ ! -t 2 ]] || printf '\r\e[K' >&2
    finish "$LAST" || code=$?
    if ((code != 0)); then
        tail -n 60 "$log" >&2
        printf '%s%s failed (exit code %d)%s\n' "$RED" "$label" "$code" "$PLAIN" >&2
    fi
    return "$code"
}

# ---- tools ------------------------------------------------------------------------------------------------------------

# Everything that a fresh Debian may miss, named in one line.
need_tools() {
    local missing=() python
    command -v cargo >/dev/null || die "there is no cargo: install Rust 1.95 or later"
    command -v cc >/dev/null || missing+=(build-essential)
    command -v openssl >/dev/null || missing+=(openssl)
    if ! PYTHON=$(find_python); then
        missing+=(python3 python3-venv)
    elif ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        python=$("$PYTHON" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        missing+=("$python-venv")
    fi
    ((${#missing[@]} == 0)) || die "missing; on Debian: apt-get install ${missing[*]} (Python is needed from 3.11 on)"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# The Python environment: made or brought up to date where its stamp doesn't fit. One of us at a time.
set_up_venv() {
    mkdir -p "$VENV"
    if [[ -n $(ls -A "$VENV") && ! -e $VENV/pyvenv.cfg && ! -e $VENV/.sealgate.lock ]]; then
        die "$VENV is not empty and no Python environment: name another folder in SEALGATE_VENV"
    fi
    (
        trap - EXIT INT TERM HUP
        if command -v flock >/dev/null; then flock 9; fi
        stamp=$(venv_stamp) || exit 1
        if [[ $(cat "$VENV/.sealgate.stamp" 2>/dev/null) != "$stamp" ]]; then
            install_venv && echo "$stamp" >"$VENV/.sealgate.stamp"
        fi
    ) 9>"$VENV/.sealgate.lock"
}

venv_stamp() { { "$PYTHON" --version && echo "$VENV" && cat "$ROOT/tests/requirements.txt"; } | openssl dgst -sha256 -r | cut -d' ' -f1; }

# Each step names its failure: `set -e` does not reach in here.
install_venv() {
    rm -f "$VENV/.sealgate.stamp"
    # An environment of another Python, or one that was moved, can't be mended.
    if ! "$VENV/bin/python3" -c 'import pip' 2>/dev/null || [[ $("$VENV/bin/python3" --version) != "$("$PYTHON" --version)" ]]; then
        find "$VENV" -mindepth 1 -maxdepth 1 ! -name .sealgate.lock -exec rm -rf {} + || return
        "$PYTHON" -m venv "$VENV" || return
    fi
    "$VENV/bin/python3" -m pip install --disable-pip-version-check --no-input --progress-bar off -r "$ROOT/tests/requirements.txt"
}

# The JavaScript SDK, beside the script that uses it. Where there is no node, its test says that it was skipped.
set_up_node() {
    local folder=$ROOT/tests/suite/scripts/js stamp
    command -v npm >/dev/null || return 0
    stamp=$(openssl dgst -sha256 -r "$folder/package-lock.json" | cut -d' ' -f1)
    [[ $(cat "$folder/node_modules/.sealgate.stamp" 2>/dev/null) != "$stamp" ]] || return 0
    npm ci --prefix "$folder" --no-progress && echo "$stamp" >"$folder/node_modules/.sealgate.stamp"
}

# The binary: builds it unless one is named, and sets SEALGATE_BIN.
build_sealgate() {
    if [[ -z ${SEALGATE_BIN:-} ]]; then
        quietly "building sealgate (from nothing some 4 minutes)" cargo_build || return
        SEALGATE_BIN=$(sed -n 's/.*"name":"sealgate".*"executable":"\([^"]*\)".*/\1/p' "$SCRATCH/cargo.json" | tail -n 1)
    fi
    SEALGATE_BIN=$(readlink -f "$SEALGATE_BIN" || true)
    [[ -x $SEALGATE_BIN ]] || die "there is no sealgate binary: ${SEALGATE_BIN:-cargo built none}"
}

# The Rust SDK as a client, beside the binary that the tests run.
build_sdk_calls() {
    local target
    target=$(dirname "$(dirname "$SEALGATE_BIN")")
    cd "$ROOT" && cargo build --package sealgate-tests-sdk --target-dir "$target"
}

cargo_build() {
    cd "$ROOT" && cargo build --package sealgate --message-format json-render-diagnostics >"$SCRATCH/cargo.json"
}

# ---- a local AWS ------------------------------------------------------------------------------------------------------

# make_certificate FOLDER: a CA (ca.pem) and a certificate for the names that AWS hosts have (server.pem, server.key).
make_certificate() {
    local request=(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -config "$1/openssl.cnf")
    # A wildcard stands for one label.
    cat >"$1/openssl.cnf" <<-'CONFIG'
		[req]
		distinguished_name = name
		prompt = no
		[name]
		CN = local AWS
		[ca]
		basicConstraints = critical, CA:true
		keyUsage = critical, keyCertSign
		subjectKeyIdentifier = hash
		[server]
		basicConstraints = critical, CA:false
		extendedKeyUsage = serverAuth
		subjectAltName = DNS:amazonaws.com, DNS:*.amazonaws.com, DNS:*.us-east-1.amazonaws.com, DNS:*.s3.amazonaws.com, DNS:*.s3.us-east-1.amazonaws.com
	CONFIG
    "${request[@]}" -extensions ca -keyout "$1/ca.key" -out "$1/ca.pem" 2>"$1/openssl.log" &&
        "${request[@]}" -extensions server -CA "$1/ca.pem" -CAkey "$1/ca.key" -subj "/CN=moto" -keyout "$1/server.key" -out "$1/server.pem" 2>>"$1/openssl.log" ||
        die "openssl made no certificate: $(tail -n 1 "$1/openssl.log") (version 3.0 or later is needed)"
}

# start_moto FOLDER: moto over TLS, with a certificate of FOLDER's. When this returns it answers; sets MOTO_PORT.
start_moto() {
    local tries
    in_background "$1/moto.log" env -u MOTO_PORT PYTHONUNBUFFERED=1 "$VENV/bin/moto_server" -H 127.0.0.1 -p 0 -s -c "$1/server.pem" -k "$1/server.key"
    for ((tries = 0; tries < 600; tries++)); do
        MOTO_PORT=$(sed -n 's|.*Running on https://127\.0\.0\.1:\([0-9]*\).*|\1|p' "$1/moto.log")
        [[ -z $MOTO_PORT ]] || break
        kill -0 "$LAST" 2>/dev/null || die "moto did not start: $(tail -n 1 "$1/moto.log")"
        sleep 0.1
    done
    [[ -n $MOTO_PORT ]] || die "moto did not start in 60 s: see $1/moto.log"
    answers "https://127.0.0.1:$MOTO_PORT/moto-api/" || die "moto does not answer: see $1/moto.log"
}

answers() {
    "$VENV/bin/python3" - "$1" <<-'PYTHON'
		import ssl, sys, urllib.request
		# Whose certificate it is doesn't matter here: the question is whether somebody listens.
		opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
		sys.exit(opener.open(sys.argv[1], timeout=30).status != 200)
	PYTHON
}

# Nothing of the caller's own AWS settings, proxies or gateway reaches what is run here.
isolate() {
    local name
    for name in $(compgen -e | grep -E '^(AWS_|SEALGATE_(HOME|LOG|DUCKDB|SESSION)$|PYTHON(PATH|HOME)$)' || true) HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy; do
        unset "$name"
    done
    export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true AWS_PAGER='' AWS_DEFAULT_REGION=us-east-1
}
