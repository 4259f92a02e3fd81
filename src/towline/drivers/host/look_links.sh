# This host's key for private links, and the end of one that is there, as lines of facts.

# The private half never leaves; what makes it is there before WireGuard is.
make_link_key() {
  mkdir -p "$home/link" || return 1
  if command -v wg >/dev/null 2>&1; then
    private=$(wg genkey) && public=$(printf '%s\n' "$private" | wg pubkey)
  elif command -v openssl >/dev/null 2>&1; then
    pem=$(openssl genpkey -algorithm X25519) &&
      private=$(printf '%s\n' "$pem" | openssl pkey -outform DER | tail -c 32 | base64) &&
      public=$(printf '%s\n' "$pem" | openssl pkey -pubout -outform DER | tail -c 32 | base64)
  else
    return 1
  fi
  [ "${#private}" -eq 44 ] && [ "${#public}" -eq 44 ] || return 1
  printf '%s\n' "$private" | replace "$home/link/key" && printf '%s\n' "$public" | replace "$home/link/public"
}

link_key() {
  if [ ! -s "$home/link/public" ]; then
    guarded || exit 74
    [ -s "$home/link/public" ] || make_link_key
    unguarded
  fi
  [ ! -s "$home/link/public" ] || echo "link_key $(cat "$home/link/public")"
}

link_seen() {
  [ -s "$home/link/digest" ] && read -r digest firewall <"$home/link/digest" || return 0
  if grep -qx 'ENABLED=yes' /etc/ufw/ufw.conf 2>/dev/null; then now=ufw; else now=none; fi
  if [ "$firewall" = "$now" ] && [ -e "/sys/class/net/$(cat "$home/link/interface")" ]; then
    echo "link $digest"
  else
    echo "link gone"
  fi
}
