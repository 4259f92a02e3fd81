# What is set inside a running database.

# set_password STORE USER DATABASE DIGEST: over the server's own socket, whose users it trusts; by stdin, so that no list
# of processes shows it.
set_password() {
  [ -e "$home/stash/$4" ] || fail 'the password was never sent to this host' 'towline deploy'
  id=$(id_of "$1")
  [ -n "$id" ] || fail "$1 does not run"
  {
    printf 'alter role "%s" password ' "$2"
    printf "'%s';\n" "$(sed "s/'/''/g" "$home/stash/$4")"
  } | docker exec -i "$id" psql -v ON_ERROR_STOP=1 -q -U "$2" -d "$3" || fail "the password of $1 cannot be set" "towline logs $1"
}
