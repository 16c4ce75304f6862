# shellcheck shell=bash
# Plants the bugs that the guarantees' tests must catch, each in a copy of the tree, and sees whether they do. Sourced by
# scripts/guarantees.sh, for bash 3.2 and later; wants say(), fail(), $root.

: "${root:?who sources this says where the repository is}"

# What a patch says of itself before its diff: $1 is the word, $2 the file.
said_of() {
  sed -n "/^diff \|^--- /q; s/^$1: //p" "$2"
}

# The tree as it lies here, without what is ignored, in $1; what does not change keeps its time, so that little is built.
copy_tree() {
  local copy=$1 listed
  mkdir -p "$copy"
  listed=$(mktemp "${TMPDIR:-/tmp}/seatpilot-tree.XXXXXX")
  (cd "$root" && git ls-files --cached --others --exclude-standard) |
    while IFS= read -r path; do if [ -e "$root/$path" ]; then printf '%s\n' "$path"; fi; done >"$listed"
  # What an earlier run left and is gone from the tree.
  (cd "$copy" && find . -path ./.git -prune -o \( -type f -o -type l \) -print | sed 's|^\./||' | sort |
    comm -23 - <(sort "$listed") | while IFS= read -r path; do rm -f "$path"; done)
  while IFS= read -r path; do
    if [ ! -L "$copy/$path" ] && cmp -s "$root/$path" "$copy/$path"; then continue; fi
    mkdir -p "$copy/$(dirname "$path")"
    # A link is kept a link: supabase/migrations leads to sql.
    rm -f "${copy:?}/$path"
    cp -PR "$root/$path" "$copy/$path"
    [ -L "$copy/$path" ] || touch "$copy/$path"
  done <"$listed"
  rm -f "$listed"
}

# Runs the tests of the filter $1 in the copy $2, into the log $3. Says by its exit what nextest says: 0 passed, 100 failed,
# 4 there is none, 101 it does not build.
run_planted() {
  local filter=$1 copy=$2 log=$3 package
  # One package where the filter names one: the others' tests need not be linked again.
  package=$(printf '%s' "$filter" | sed -n 's/^[^=]*package(=\{0,1\}\([a-z-]*\)).*/\1/p')
  case "$package" in
    '' | seatpilot-guarantees | seatpilot | seatpilot-telemetry-ingest)
      # These run the built binaries.
      (cd "$copy" && cargo build --workspace --bins --locked --offline) >"$log" 2>&1 9>&- || return 101
      ;;
    *) : >"$log" ;;
  esac
  (cd "$copy" && cargo nextest run --profile whole-house --locked --offline --no-fail-fast \
    ${package:+-p "$package"} -E "$filter") >>"$log" 2>&1 9>&-
}

# Plants one patch ($1) in the copy $2 and prints its line: guarantee, verdict, bug.
plant() {
  local patch=$1 copy=$2 begun=$SECONDS name bug filter log verdict code=0
  name=$(basename "$patch" .patch)
  bug=$(said_of bug "$patch")
  filter=$(said_of test "$patch")
  log=$root/target/planted/$name.log
  say "   $name: planting"
  if ! (cd "$copy" && git apply --whitespace=nowarn "$patch") >"$log" 2>&1; then
    verdict='does not apply'
  else
    (cd "$copy" && git apply --numstat "$patch" | cut -f 3 | while IFS= read -r path; do touch "$path"; done)
    run_planted "$filter" "$copy" "$log" || code=$?
    case "$code" in
      100) verdict=caught ;;
      0) verdict='NOT CAUGHT' ;;
      4) verdict='no such test' ;;
      *) verdict="did not run ($code)" ;;
    esac
    (cd "$copy" && git apply -R --whitespace=nowarn "$patch") || fail "$name cannot be taken out of $copy again: remove it"
    (cd "$copy" && git apply --numstat "$patch" | cut -f 3 | while IFS= read -r path; do [ ! -e "$path" ] || touch "$path"; done)
  fi
  printf '%-34s %-14s %s (%d s)\n' "$name" "$verdict" "$bug" "$((SECONDS - begun))"
  [ "$verdict" = caught ]
}

# Plants every bug, or those of the guarantees and patches named.
plant_all() {
  local patches=$root/packages/guarantees/planted copy=$root/target/planted/tree outcome=0 patch name guarantee
  mkdir -p "$root/target/planted"
  say "Copying the tree to ${copy#"$root/"}."
  copy_tree "$copy"
  # A copy below another repository is its own: git would look for paths from that one's root.
  [ -d "$copy/.git" ] || git init --quiet "$copy"
  export CARGO_TARGET_DIR=$root/target/planted/build
  # What the tests are judged with is looked for beside what was built, or in the tree's own target.
  mkdir -p "$CARGO_TARGET_DIR"
  mkdir -p "$copy/target"
  ln -sfn "$root/target/tools" "$CARGO_TARGET_DIR/tools"
  ln -sfn "$root/target/tools" "$copy/target/tools"
  for patch in "$patches"/*.patch; do
    name=$(basename "$patch" .patch)
    guarantee=$(said_of guarantee "$patch")
    case " $* " in
      '  ' | *" $name "* | *" $guarantee "*) plant "$patch" "$copy" || outcome=1 ;;
    esac
  done
  return "$outcome"
}
