#!/bin/bash
# A throw-away Dovecot with full-text search by Xapian on a loopback port, for side-by-side runs; needs root.
#   dovecot_fts.sh start | stop
# Everything lives in $BASE. Needs Debian's dovecot-imapd and dovecot-fts-xapian. Any user with the password "secret" exists; its
# mail is a Maildir. Nothing is indexed unless `doveadm -c $BASE/dovecot.conf index` is asked to; searches look at the index alone.
# The settings of the index are those that its page recommends: each word by its parts of 3 to 20 characters.
set -eu
BASE=${BASE:-/tmp/godwit-bench/dovecot-fts}
IMAP=${IMAP:-12243}
id vmail >/dev/null 2>&1 || useradd -r -M -s /usr/sbin/nologin vmail

stop() {
  [ -s "$BASE/run/master.pid" ] || return 0
  pid=$(cat "$BASE/run/master.pid"); kill "$pid" 2>/dev/null || true
  for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
}

config() {
  mkdir -p "$BASE/run" "$BASE/mail" "$BASE/state"
  chown vmail: "$BASE/mail"; chmod 755 "$BASE"
  cat > "$BASE/dovecot.conf" <<CF
base_dir = $BASE/run
state_dir = $BASE/state
instance_name = bench-fts
log_path = $BASE/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_username_format = %Ln
mail_location = maildir:~/Maildir
mail_plugins = fts fts_xapian
default_vsz_limit = 2G
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=$BASE/mail/%n allow_all_users=yes
}
service imap-login {
  inet_listener imap {
    port = $IMAP
  }
  inet_listener imaps {
    port = 0
  }
}
plugin {
  fts = xapian
  fts_xapian = partial=3 full=20 verbose=0
  fts_autoindex = no
  fts_enforced = yes
}
CF
}

case ${1:-} in
  start) stop; config; : > "$BASE/dovecot.log"
    dovecot -c "$BASE/dovecot.conf" </dev/null >/dev/null 2>&1
    for _ in $(seq 50); do [ -s "$BASE/run/master.pid" ] && break; sleep 0.1; done
    echo "imap 127.0.0.1:$IMAP pid $BASE/run/master.pid" ;;
  stop) stop ;;
  *) sed -n 2,8p "$0"; exit 2 ;;
esac
