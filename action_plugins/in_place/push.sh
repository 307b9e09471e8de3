# Writes the program from standard input under a name of its own, verifies it, renames it.
(
  PATH=/usr/bin:/bin
  f=$(
    @place
    echo "$f"
  )
  case $f in
    /*) ;;
    *) echo "$f"; cat >/dev/null; exit 0 ;;
  esac
  umask 077
  set -C
  t=$f.@nonce
  if cat >"$t" && x=$(sha256sum <"$t") && [ "${x%% *}" = @sha256 ] && chmod 500 "$t" && mv -fT "$t" "$f"; then
    echo minicluster-pushed @nonce
  else
    rm -f "$t"
    cat >/dev/null
  fi
  # Removes what nobody has read for a week.
  n=$(date +%s)
  stat -c "%X %n" "${f%/*}"/* | while read -r a o; do
    [ $((n - a)) -lt 604800 ] || rm -f "$o"
  done
)
