# Runs the copy with the arguments on standard input.
# shellcheck disable=SC2154 # place.sh sets h.
(
  # In a shell of its own, which leaves nothing to the program.
  if f=$(
    @place
    @once
    if [ "$e" ] && x=$(sha256sum <"$f") && [ "${x%% *}" = "$h" ]; then
      echo "$f"
    else
      echo absent "$(uname -m)"
      exit 1
    fi
  ); then
    @environment MINICLUSTER_NONCE=@nonce @limit "$f" @module -
    s=$?
    # When it did not end well, says so after all that the program wrote, and takes the rest of the input, so that the
    # sender is not cut off. Status 255 would look like a lost connection.
    [ $s = 0 ] || {
      echo minicluster-ended @nonce $s >&2
      [ $s -lt 255 ] || s=254
      PATH=/usr/bin:/bin
      cat >/dev/null
    }
    exit $s
  else
    echo minicluster-refused @nonce "$f"
    PATH=/usr/bin:/bin
    cat >/dev/null
  fi
)
