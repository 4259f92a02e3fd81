# This host's end of a private link: an interface of wg-quick that comes before Docker, with a guard of its own.
# Needs: interface.

link_file() { echo "/etc/wireguard/$interface.conf"; }
link_unit() { echo "wg-quick@$interface.service"; }

# Which firewall asks for rules of its own: with the other one they have to be made anew. To ask ufw itself takes a
# fifth of a second.
link_firewall() { if grep -qx 'ENABLED=yes' /etc/ufw/ufw.conf 2>/dev/null; then echo ufw; else echo none; fi; }

# has_joined_link DIGEST
has_joined_link() {
  [ "$(cat "$home/link/digest" 2>/dev/null)" = "$1 $(link_firewall)" ] && [ -e "/sys/class/net/$interface" ] || exit 1
  echo 'it has joined'
}

was_linked() {
  kept=$(cat "$home/link/is" 2>/dev/null)
  printf '{"link":%s}' "${kept:-null}"
}

install_for_link() {
  command -v apt-get >/dev/null 2>&1 || fail "$* is not installed" "install $*, on the host"
  for try in 1 2; do
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" </dev/null >"$work/apt" 2>&1 && return
    [ "$try" -eq 2 ] || apt-get -q -o DPkg::Lock::Timeout=120 update </dev/null >/dev/null 2>&1
  done
  tail -n 15 "$work/apt"
  fail "$* cannot be installed" "apt-get install $*, on the host"
}

# A kernel without WireGuard has the same in a program.
link_tools() {
  command -v wg-quick >/dev/null 2>&1 || install_for_link wireguard-tools
  command -v iptables >/dev/null 2>&1 || install_for_link iptables
  if ip link add dev towline-try type wireguard 2>/dev/null; then
    ip link del dev towline-try
  elif ! command -v wireguard-go >/dev/null 2>&1; then
    install_for_link wireguard-go
  fi
}

# link_settings ADDRESS PORT PEERS OPENINGS: PEERS are lines `KEY ADDRESS ENDPOINT`, OPENINGS `PORT USER`.
# The guard stands in the raw table, before anything that Docker or ufw does: the address is for the link alone, and
# through the link nobody opens a connection but to what is opened to them.
link_settings() {
  guard="iptables -w -t raw"
  printf '# Made by towline for %s. `towline deploy` writes it anew.\n[Interface]\n' "$home"
  printf 'Address = %s/32\nListenPort = %s\nPostUp = wg set %%i private-key %s/link/key\n' "$1" "$2" "$home"
  printf 'PreUp = %s -N %%i 2>/dev/null || %s -F %%i\n' "$guard" "$guard"
  [ -z "$4" ] || printf '%s\n' "$4" | while read -r port user; do
    printf 'PreUp = %s -A %%i -s %s -p tcp --dport %s -j RETURN\n' "$guard" "$user" "$port"
  done
  printf 'PreUp = %s -A %%i -p tcp ! --syn -j RETURN\n' "$guard"
  printf 'PreUp = %s -A %%i -p icmp -j RETURN\nPreUp = %s -A %%i -j DROP\n' "$guard" "$guard"
  for rule in "-i %i -j %i" "-d $1 ! -i %i -j DROP"; do
    printf 'PreUp = %s -C PREROUTING %s 2>/dev/null || %s -I PREROUTING %s\n' "$guard" "$rule" "$guard" "$rule"
    printf 'PostDown = %s -D PREROUTING %s || :\n' "$guard" "$rule"
  done
  printf 'PostDown = %s -F %%i || :\nPostDown = %s -X %%i || :\n' "$guard" "$guard"
  printf '%s\n' "$3" | while read -r key address endpoint; do
    printf '[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\nEndpoint = %s\nPersistentKeepalive = 25\n' "$key" "$address" "$endpoint"
  done
}

# link_rules PORT PEERS OPENINGS: what ufw has to let through.
link_rules() {
  printf '%s\n' "$2" | while read -r _ _ endpoint; do
    from=${endpoint%:*}
    from=${from#[}
    echo "allow in proto udp from ${from%]} to any port $1"
  done
  [ -z "$3" ] || printf '%s\n' "$3" | while read -r port user; do
    echo "route allow in on $interface proto tcp from $user to any port $port"
  done
}

# of_ufw WORD: with `delete` or nothing, the rules of stdin.
of_ufw() {
  while read -r rule; do
    # shellcheck disable=SC2086  # words
    case $rule in
      'route '*) ufw route $1 ${rule#route } ;;
      *) ufw $1 $rule ;;
    esac </dev/null >/dev/null 2>&1 || [ -n "$1" ] || fail "ufw does not take the rule: $rule" 'ufw status verbose, on the host'
  done
}

# firewall_opened RULES: those that are no longer wanted go, the new ones come.
firewall_opened() {
  [ "$(link_firewall)" = ufw ] || return 0
  printf '%s\n' "$1" >"$work/rules"
  : >>"$home/link/rules"
  grep -vxF -f "$work/rules" "$home/link/rules" | of_ufw delete
  # Noted first: what is noted and not there can be taken away all the same.
  replace "$home/link/rules" <"$work/rules" || fail 'the rules cannot be noted' 'df -h'
  of_ufw '' <"$work/rules" || exit 1
}

# join_link ADDRESS PORT PEERS OPENINGS DIGEST IS
join_link() {
  [ -d /run/systemd/system ] || fail 'a private link needs systemd on the host'
  [ -s "$home/link/key" ] || fail 'this host has made no key for the link' 'towline plan'
  link_tools
  rm -f "$home/link/digest"
  taken=$(ip -4 -o route get "$1" 2>/dev/null | grep -v " dev $interface \| dev lo \| via ")
  [ -z "$taken" ] || fail "the address $1 of the link is in a network that this host has already: $taken" 'ip -4 route'
  link_settings "$1" "$2" "$3" "$4" >"$work/conf"
  firewall_opened "$(link_rules "$2" "$3" "$4")"
  if ! cmp -s "$work/conf" "$(link_file)" || [ ! -e "/sys/class/net/$interface" ]; then
    # What is undone is what was done: the old settings are still there.
    systemctl stop "$(link_unit)" 2>/dev/null
    mkdir -p "/etc/systemd/system/$(link_unit).d" && chmod 755 "/etc/systemd/system/$(link_unit).d" &&
      replace "$(link_file)" <"$work/conf" || fail 'the settings of the link cannot be written' 'df -h'
    # Docker publishes ports at its address, which has to be there before.
    printf '[Unit]\nBefore=docker.service\n[Service]\nTimeoutStartSec=60\n' | replace "/etc/systemd/system/$(link_unit).d/towline.conf" &&
      systemctl daemon-reload && systemctl --quiet enable "$(link_unit)" || fail 'systemd does not take the link' "systemctl status $(link_unit)"
    systemctl start "$(link_unit)" || { journalctl -n 15 --no-pager -o cat -u "$(link_unit)"; fail 'the link does not come up' "journalctl -u $(link_unit)"; }
  fi
  printf '%s\n' "$6" | replace "$home/link/is" && printf '%s\n' "$interface" | replace "$home/link/interface" &&
    printf '%s %s\n' "$5" "$(link_firewall)" | replace "$home/link/digest" || fail 'the link cannot be noted' 'df -h'
  echo "$interface is up"
}

has_left_link() {
  [ ! -e "$(link_file)" ] && [ ! -e "/sys/class/net/$interface" ] && [ ! -e "$home/link/is" ] || exit 1
  echo 'there is no link'
}

leave_link() {
  rm -f "$home/link/digest"
  if [ -e "$(link_file)" ]; then
    systemctl --quiet disable --now "$(link_unit)" || fail 'the link cannot be ended' "systemctl status $(link_unit)"
  fi
  [ ! -e "/sys/class/net/$interface" ] || ip link del dev "$interface" || fail 'the link cannot be ended' "ip link del $interface"
  rm -rf "$(link_file)" "/etc/systemd/system/$(link_unit).d"
  systemctl daemon-reload
  [ ! -s "$home/link/rules" ] || ! command -v ufw >/dev/null 2>&1 || of_ufw delete <"$home/link/rules"
  rm -f "$home/link/rules" "$home/link/is" "$home/link/interface"
  echo 'it has left'
}

# peers_answered SECONDS PEERS: PEERS are lines `KEY ADDRESS SITE PORT`. A peer is asked for a handshake by a packet to it.
peers_answered() {
  within=$1 waited=0
  while :; do
    now=$(date +%s) silent=
    wg show "$interface" latest-handshakes >"$work/shakes" || fail 'the link is not up' "systemctl status $(link_unit)"
    printf '%s\n' "$2" >"$work/peers"
    while read -r key address site port; do
      last=$(awk -v key="$key" '$1 == key { print $2 }' "$work/shakes")
      [ "${last:-0}" -gt "$((now - 180))" ] || {
        silent="$silent $site"
        printf x 2>/dev/null | timeout 1 bash -c 'cat >"/dev/udp/$0/9"' "$address" 2>/dev/null
      }
    done <"$work/peers"
    [ -n "$silent" ] || break
    [ "$waited" -lt "$((within * 2))" ] || {
      wg show "$interface"
      fail "no answer through the private link within $within s from$silent" "let UDP port $port pass between the hosts, in the firewall of their provider too"
    }
    waited=$((waited + 1))
    sleep 0.5
  done
  echo 'they answered'
}
