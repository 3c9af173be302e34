#!/bin/bash
# A throw-away Cyrus (JMAP over HTTP, and IMAP) on loopback ports, for side-by-side runs; needs root.
#   cyrus.sh start | stop
# Debian's cyrus-imapd and dovecot-imapd remove each other, so nothing is installed: the packages are unpacked in $BASE, and lie over /usr/lib
# in a mount namespace of Cyrus's own. It does not wait for the disk (skiplist_unsafe): filling it would take hours, and only reading is compared.
# Any user with any password exists; its INBOX is made when it logs in.
set -eu
BASE=${BASE:-/tmp/godwit-bench/cyrus}
IMAP=${IMAP:-20143}; HTTP=${HTTP:-20180}
PACKAGES="cyrus-imapd cyrus-common cyrus-caldav libical3 libpcre3 libxapian30 libzephyr4 libclamav12 libmspack0 libshp2 db5.3-util"

stop() {
  [ -s "$BASE/var/master.pid" ] || return 0
  pid=$(cat "$BASE/var/master.pid"); kill "$pid" 2>/dev/null || true
  for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
}

unpack() {
  [ -x "$BASE/root/usr/lib/cyrus/bin/httpd" ] && return 0
  mkdir -p "$BASE/debs" "$BASE/root"
  (cd "$BASE/debs" && apt-get download -q $PACKAGES >/dev/null 2>&1)
  for deb in "$BASE"/debs/*.deb; do dpkg-deb -x "$deb" "$BASE/root"; done
}

config() {
  rm -rf "$BASE/var" "$BASE/spool" "$BASE/search"
  mkdir -p "$BASE"/var/{db,proc,socket,log,msg,lock,quota,user,sieve} "$BASE/spool" "$BASE/search"
  cat > "$BASE/imapd.conf" <<CF
configdirectory: $BASE/var
defaultpartition: default
partition-default: $BASE/spool
defaultsearchtier: t1
t1searchpartition-default: $BASE/search
search_engine: xapian
conversations: yes
skiplist_unsafe: yes
unixhierarchysep: yes
altnamespace: yes
cyrus_user: nobody
cyrus_group: nogroup
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN LOGIN
httpmodules: jmap
autocreate_quota: 0
sievedir: $BASE/var/sieve
CF
  cat > "$BASE/cyrus.conf" <<CF
START {
  recover cmd="ctl_cyrusdb -C $BASE/imapd.conf -r"
}
SERVICES {
  imap cmd="imapd -C $BASE/imapd.conf" listen="127.0.0.1:$IMAP" prefork=0
  http cmd="httpd -C $BASE/imapd.conf" listen="127.0.0.1:$HTTP" prefork=0
}
EVENTS {
}
CF
  chown -R nobody:nogroup "$BASE/var" "$BASE/spool" "$BASE/search"
}

start() {
  stop; unpack; config
  cat > "$BASE/run.sh" <<CF
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=$BASE/root/usr/lib:/usr/lib /usr/lib
export LD_LIBRARY_PATH=$BASE/root/lib/x86_64-linux-gnu:$BASE/root/usr/lib/x86_64-linux-gnu
exec /usr/lib/cyrus/bin/master -D -C $BASE/imapd.conf -M $BASE/cyrus.conf -p $BASE/var/master.pid
CF
  setsid unshare -m bash -eu "$BASE/run.sh" > "$BASE/log" 2>&1 &
  for _ in $(seq 100); do
    curl -s -o /dev/null "http://127.0.0.1:$HTTP/jmap/" && { echo "imap 127.0.0.1:$IMAP jmap 127.0.0.1:$HTTP pid $BASE/var/master.pid"; return 0; }
    sleep 0.1
  done
  cat "$BASE/log"; return 1
}

"$@"
