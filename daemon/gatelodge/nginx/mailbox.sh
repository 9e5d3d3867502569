#!/bin/sh
# The mailbox of Gatelodge, beside an nginx that the daemon cannot reach: in another container, or under another user.
#
#   mailbox.sh                    take requests in the background, and end: for /docker-entrypoint.d of the official nginx image
#   mailbox.sh COMMAND [WORD …]   the same, then become that command: for an entrypoint
#   mailbox.sh --stay             take requests until told to stop
#   mailbox.sh --once             take the request that is there, if there is one: for a systemd path unit
#
# The daemon writes STATE/nginx/mailbox/request; this script alone writes STATE/nginx/current. It makes the tree current that was asked
# for, has nginx test its whole configuration, and reloads it, or makes the one before current again. What it says of nginx is in
# STATE/nginx/mailbox/about, its answers are in STATE/nginx/mailbox/answer.
#
# GATELODGE_STATE is the state directory, at the same path as the daemon has it (default /var/lib/gatelodge). GATELODGE_NGINX is how
# nginx is called (default nginx). Needs nothing but a POSIX shell, `mv -T`, and the user that may signal nginx's master.
set -u

state=${GATELODGE_STATE:-/var/lib/gatelodge}
nginx=${GATELODGE_NGINX:-nginx}
folder=$state/nginx
box=$folder/mailbox

tell() { printf 'gatelodge: %s\n' "$*" >&2; }

# Makes a tree current, by its number; none for no tree.
swap() {
  if [ "$1" = none ]; then rm -f "$folder/current"; return; fi
  rm -f "$folder/.current-mailbox" && ln -s "generations/$1" "$folder/.current-mailbox" &&
    mv -fT "$folder/.current-mailbox" "$folder/current"
}

# Prints the number of the current tree, or none.
current() {
  target=$(readlink "$folder/current" 2>/dev/null) || { echo none; return; }
  number=${target##*/}
  case $number in ''|*[!0-9]*) echo none ;; *) echo "$number" ;; esac
}

# Writes a file of the mailbox whole or not at all. Its text is on standard input.
put() {
  umask 022
  cat >"$box/.$1.new" && [ -s "$box/.$1.new" ] && mv -f "$box/.$1.new" "$box/$1"
}

# Says what this nginx is: where it looks names up, whether it speaks IPv6, where others' servers listen, and its version. All of it is there
# before any is written: who is killed meanwhile leaves what was said before.
about() {
  told=$(
    echo "format 1"
    if [ -s /proc/net/if_inet6 ]; then echo "ipv6 yes"; else echo "ipv6 no"; fi
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
      if [ -f "$bundle" ]; then echo "ca-bundle $bundle"; break; fi
    done
    grep -E '^nameserver[[:space:]]' /etc/resolv.conf 2>/dev/null
    # Of others' configuration only where they listen is taken: the rest may hold secrets.
    $nginx -T 2>/dev/null | awk -v ours="# configuration file $folder/" '
      /^# configuration file \/.*:$/ { mine = index($0, ours) == 1; next }
      mine { next }
      {
        text = " " $0
        sub(/[ \t;{}]#.*/, "", text)
        while (match(text, /[ \t;{}]listen[ \t]+[^ \t;]+[^;]*;/)) {
          words = substr(text, RSTART + 1, RLENGTH - 1)
          sub(/^listen[ \t]+/, "", words)
          sub(/[ \t;].*/, "", words)
          print "listen " words
          text = substr(text, RSTART + RLENGTH - 1)
        }
      }' | sort -u
    echo "version"
    $nginx -V 2>&1
  )
  printf '%s\n' "$told" | put about
}

# Answers the request with that nonce. Of what nginx says the end is told: its error stands there, below warnings by the thousand.
answer() {
  { printf 'nonce %s\nresult %s\noutput\n' "$nonce" "$1"; printf '%s\n' "$2" | tail -c 65536; } | put answer
  rm -f "$box/undo"
}

answered() { [ -f "$box/answer" ] && [ "$(head -n 1 "$box/answer")" = "nonce $1" ]; }

serve() {
  nonce='' tree='' from=''
  while read -r key value; do
    case $key in nonce) nonce=$value ;; tree) tree=$value ;; state) from=$value ;; esac
  done <"$box/request" 2>/dev/null
  case $nonce in ''|*[!0-9a-f]*) return ;; esac
  if answered "$nonce"; then return; fi
  case $tree in
    none) ;;
    ''|*[!0-9]*) answer failed "the request names no tree"; return ;;
    *) if [ ! -f "$folder/generations/$tree/http.conf" ]; then answer failed "there is no tree $tree in $folder"; return; fi ;;
  esac
  if [ "$from" != "$state" ]; then
    answer failed "the state directory is $from for the daemon and $state here; mount it at the same path in both places"
    return
  fi
  before=$(current)
  echo "$before" | put undo
  if ! swap "$tree"; then answer failed "$folder/current cannot be written here"; return; fi
  if ! said=$($nginx -t 2>&1); then
    swap "$before"
    tell "nginx refuses tree $tree; tree $before stays"
    answer refused "$said"
    return
  fi
  if ! told=$($nginx -s reload 2>&1); then
    swap "$before"
    answer absent "$told"
    return
  fi
  tell "tree $tree is loaded"
  answer done "$said"
  about
}

# A swap that has no answer was cut short: nobody knows whether nginx takes that tree.
begin() {
  if [ -f "$box/undo" ]; then
    read -r before <"$box/undo"
    case $before in none) swap none ;; ''|*[!0-9]*) ;; *) if [ -d "$folder/generations/$before" ]; then swap "$before"; fi ;; esac
    rm -f "$box/undo"
    tell "an unfinished change was taken back"
  fi
  about
}

nap() { sleep 0.5 2>/dev/null || sleep 1; }

stay() {
  while :; do
    if [ -f "$box/request" ]; then serve; fi
    nap
  done
}

# The daemon may come later than nginx; it makes the mailbox, which is the daemon's.
await() { while [ ! -d "$box" ]; do nap; done; }

case ${1:-} in
  --once) [ -d "$box" ] || exit 0; begin; if [ -f "$box/request" ]; then serve; fi ;;
  --stay) await; begin; stay ;;
  '') if [ -d "$box" ]; then begin; fi; (await; if [ ! -f "$box/about" ]; then begin; fi; stay) </dev/null & ;;
  *) if [ -d "$box" ]; then begin; fi; (await; if [ ! -f "$box/about" ]; then begin; fi; stay) </dev/null & exec "$@" ;;
esac
