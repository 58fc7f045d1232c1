#!/usr/bin/env bash
# Build kaldifeat 1.24 from its source release against the torch of an environment; install it there.
#
#   utils/build_kaldifeat.sh PYTHON        e.g. .venv/bin/python
#
# The wheel is kept in ~/.cache/sertools/wheels (or $XDG_CACHE_HOME) and used again for the same
# torch, Python and build files.  Needs a C++17 compiler and the Python headers.
set -euo pipefail
unset CDPATH PYTHONPATH PYTHONHOME
here=$(cd "$(dirname "$0")" && pwd)
python=${1:?usage: $0 PYTHON}
source_hash=71f0f696d8c3fa7e536fede7e16e4f4fe347e8f424e22449478bd9f10b9ed935
fail() { echo "$0: $*" >&2; exit 1; }

command -v "${CXX:-c++}" > /dev/null || fail "no C++ compiler; on Debian or Ubuntu: apt-get install g++"
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
[ -f "$headers/Python.h" ] || fail "no $headers/Python.h; on Debian or Ubuntu: apt-get install python3.11-dev"

key=$("$python" - "$here/build_kaldifeat.sh" "$here"/kaldifeat/*/* <<'PY'
import hashlib, platform, sys
import torch
files = hashlib.sha256(b"".join(open(f, "rb").read() for f in sys.argv[1:])).hexdigest()[:12]
print(f"kaldifeat-1.24-torch{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}-{files}")
PY
)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sertools/wheels/$key
if ! ls "$cache"/*.whl > /dev/null 2>&1; then
  echo "building kaldifeat 1.24 for $key (about 3 minutes)"
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  "$python" -m pip install -q --target "$tmp/tools" -r "$here/../requirements/build.txt"
  echo "kaldifeat==1.24 --hash=sha256:$source_hash" > "$tmp/kaldifeat.txt"
  read -r torch_root abi < <("$python" -c '
import os, torch
print(os.path.dirname(torch.__file__), int(torch._C._GLIBCXX_USE_CXX11_ABI))')
  args="-DTorch_DIR=$here/kaldifeat/torch -DTORCH_ROOT=$torch_root -DTORCH_CXX11_ABI=$abi"
  args+=" -DFETCHCONTENT_SOURCE_DIR_PYBIND11=$here/kaldifeat/pybind11 -Dpybind11_DIR=$tmp/tools/pybind11/share/cmake/pybind11"
  args+=" -DPYBIND11_FINDPYTHON=OFF -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0"
  args+=" -DCMAKE_CXX_STANDARD=17 -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -DCMAKE_INSTALL_LIBDIR=lib"
  log=$tmp/build.log
  PATH="$tmp/tools/bin:$PATH" PYTHONPATH="$tmp/tools" KALDIFEAT_CMAKE_ARGS="$args" KALDIFEAT_MAKE_ARGS="-j2" \
    "$python" -m pip wheel -v --no-cache-dir --no-build-isolation --no-deps --require-hashes -w "$tmp/wheels" \
    -r "$tmp/kaldifeat.txt" > "$log" 2>&1 || { tail -n 40 "$log" >&2; fail "kaldifeat did not build (above: the end of the log)"; }
  mkdir -p "$(dirname "$cache")"
  rm -rf "$cache.new" && cp -r "$tmp/wheels" "$cache.new" && rm -rf "$cache" && mv "$cache.new" "$cache"
fi
"$python" -m pip install -q --force-reinstall --no-deps --no-index "$cache"/*.whl
"$python" -c 'import torch, kaldifeat; kaldifeat.Mfcc(kaldifeat.MfccOptions())(torch.zeros(16000))' ||
  { rm -rf "$cache"; fail "kaldifeat was built and does not run"; }
