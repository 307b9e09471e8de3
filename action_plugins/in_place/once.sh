# For a connection plugin that sends a command again when the connection is lost: the second one finds this run's mark.
# shellcheck disable=SC2154 # place.sh sets d.
set -C
m=$d/@nonce
{ true >"$m"; } 2>/dev/null || {
  if [ -e "$m" ]; then
    echo repeated
  else
    echo "unusable: $d cannot be written"
  fi
  exit 1
}
