# Sets $d, the directory of this user's copies, and $f, the copy; answers `unusable` or `unsafe` where that cannot be.
# $e is set when the copy is there with the owner and the mode that the push gave it.
# shellcheck disable=SC2015,SC2034,SC2154,SC2174 # Both tests must hold; e is for run.sh; @digest sets h; umask says the rest.
PATH=/usr/bin:/bin
umask 022
u=$(id -u)
if [ "$u" = 0 ]; then
  d=/var/lib
else
  # The home directory is the one the system knows: $HOME may be another user's after sudo.
  n=$(id -un)
  [ "$n" ] && [ -z "$(echo "$n" | tr -d A-Za-z0-9._-)" ] || {
    echo "unusable: the user name"
    exit 1
  }
  eval "d=~$n"
  d=$d/.cache
fi
d=$d/minicluster/modules
case $d in
  /*) [ -d "$d" ] || mkdir -p -m 700 "$d" 2>/dev/null ;;
esac
# Symlinks are resolved first, so that what is verified is what is used.
d=$(cd -P "$d" 2>/dev/null && pwd -P) || {
  echo "unusable: no directory for copies can be made"
  exit 1
}
# Sets $h, the SHA-256 of the program.
@digest
f=$d/$h
set --
p=$d
while [ "$p" ]; do
  set -- "$@" "$p"
  p=${p%/*}
done
e=
# A directory counts when it and all above belong to root or this user and no other can write there.
for x in $(stat -c %u:%A / "$@" "$f" 2>/dev/null); do
  case $x in
    0:d????-??-? | "$u":d????-??-?) ;;
    "$u":-r-x------) e=1 ;;
    *:d*) echo "unsafe $d"; exit 1 ;;
  esac
done
