# The word that the changed doors were seen to open: the way back is closed.
#: shared
unit=/etc/systemd/system/towline-way-back
#: holds
no 'it is said anew for every change'
#: apply
systemctl is-active --quiet towline-way-back.timer ||
    no 'it came too late: the files of sshd and the firewall were put back already'
systemctl stop towline-way-back.timer
rm -rf /etc/systemd/system/timers.target.wants/towline-way-back.timer "$unit.timer" "$unit.service" /var/lib/towline/.way-back
systemctl daemon-reload
#: proof
if systemctl is-active --quiet towline-way-back.timer; then no 'the timer of the way back still runs'; fi
printf 'nothing is put back any more\n'
