#!/bin/bash
#
# Takes a video through the local stack, step by step; "make demo" runs it.
#
#   VIDEO=FILE    the video (a short spoken clip that is made here)
#   PACKAGES=no   install nothing

set -u

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$PWD
steps=8 number=0

. "$top/stack/progress.sh"


say() {
    printf '%s\n' "$*"
}


fail() {
    progress_end
    printf 'demo: %s\n' "$@" >&2
    exit 1
}


# As fail(), once there is a stack.
give_up() {
    progress_end
    printf 'demo: %s\n' "$@" >&2
    say "demo: the stack is still up: ./v2mctl status, ./v2mctl logs; stop it" \
        "with:  make down" >&2
    exit 1
}


heading() {
    number=$((number + 1))
    printf '\n== %d/%d  %s\n' "$number" "$steps" "$*"
}


# type_line LINE: shows a line as a person would type it.
type_line() {
    printf '$ %s\n' "$1"
}


# run_line LINE: shows it and runs it.
run_line() {
    type_line "$1"
    eval "$1"
}


# long_line WHAT LINE: the same for what takes longer; its output is left in
# the file $answer.
long_line() {
    type_line "$2"
    with_progress "           $1" "$answer" bash -c "$2"
}


# field NAME: the value of a string or a number of the JSON in $answer.
field() {
    python3 -c '
import json, sys
value = json.load(open(sys.argv[1])).get(sys.argv[2])
print("" if value is None else value)' "$answer" "$1" 2>/dev/null
}


# The path as it is typed from here.
short() {
    printf '%s' "${1#"$here"/}"
}


# A word for the shell, without quotes where it needs none.
quoted() {
    if [[ $1 =~ ^[A-Za-z0-9._/-]+$ ]]; then
        printf '%s' "$1"
    else
        printf "'%s'" "${1//\'/\'\\\'\'}"
    fi
}


# What $answer holds, on lines of their own.
show_answer() {
    printf '%s\n' "$(<"$answer")"
}


choose_video() {
    local speech

    mkdir -p "$demo"
    if [[ -n ${VIDEO:-} ]]; then
        VIDEO=$(short "$(realpath -- "$VIDEO")")
        type_line "VIDEO=$(quoted "$VIDEO")"
        return
    fi

    command -v ffmpeg >/dev/null \
        || fail "ffmpeg, which makes the clip, is missing:  make packages" \
                "Or give a video of your own:  make demo VIDEO=file.mp4"

    speech="flite=text='Hello. This was a video, and now it is an M P 3.'"
    if ! ffmpeg -hide_banner -filters 2>/dev/null | grep -q ' flite '; then
        say "(this ffmpeg cannot speak: the clip has a tone)"
        speech="sine=frequency=440:duration=4"
    fi

    VIDEO=$(short "$demo/clip.mp4")
    run_line "ffmpeg -v error -y -f lavfi -i \"$speech\" -f lavfi -i testsrc2=size=320x180:rate=15 -shortest -c:v mpeg4 -c:a aac $(quoted "$VIDEO")" \
        </dev/null || fail "ffmpeg could not make the clip"
    type_line "VIDEO=$(quoted "$VIDEO")"
}


log_in() {
    run_line ". $(short "$V2M_RUN/env")"
    if [[ -n ${http_proxy:-}${HTTP_PROXY:-}${all_proxy:-}${ALL_PROXY:-} ]]; then
        run_line 'export no_proxy=127.0.0.1'
    fi

    run_line 'TOKEN=$(curl -sS --fail-with-body -u "$V2M_USER:$V2M_PASSWORD" -X POST "$V2M_URL/login")' \
        || give_up "the login was refused: ${TOKEN:-no answer}" \
                   "The account is kept with:  ./v2mctl user list"
    export TOKEN
    say "${TOKEN:0:32}... (${#TOKEN} characters)"
}


upload() {
    local how='-F "file=@$VIDEO" "$V2M_URL/upload"'

    # what curl would take for more than a file's name
    [[ $VIDEO != *[\;,\"\\]* ]] || how='-T "$VIDEO" "$V2M_URL/upload/"'

    long_line "uploading" \
        "curl -sS --fail-with-body -H \"Authorization: Bearer \$TOKEN\" $how" \
        || give_up "the upload was refused: $(<"$answer")"
    show_answer

    JOB=$(field id)
    [[ $JOB =~ ^[0-9a-f]{24}$ ]] || give_up "the answer has no id"
    run_line "JOB=$JOB"
    export JOB
}


follow() {
    local began=$SECONDS state percent shown=

    type_line 'curl -sS -H "Authorization: Bearer $TOKEN" "$V2M_URL/jobs/$JOB"'

    while :; do
        curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" \
            "$V2M_URL/jobs/$JOB" >"$answer" \
            || give_up "the job cannot be looked up: $(<"$answer")"

        state=$(field state)
        percent=$(field progress)
        case $state in
            ready | failed) break ;;
        esac

        if [[ $state != "$shown" && ! -t 1 ]]; then
            say "           $state"
            shown=$state
        fi
        progress "           $state${percent:+, $percent %}, $((SECONDS - began)) s"

        if [[ $state == queued ]] && ((SECONDS - began >= 120)); then
            give_up "nobody has taken the job for two minutes." \
                    "Does the converter run?  ./v2mctl status" \
                    "What does it say?  ./v2mctl logs converter"
        fi
        sleep 0.2
    done

    progress_end
    show_answer
    [[ $state == ready ]] || give_up "the job failed: $(field reason)"
}


download() {
    local name=${VIDEO##*/}

    MP3=$(short "$demo/${name%.*}.mp3")
    export MP3
    answer=$demo/download
    run_line "MP3=$(quoted "$MP3")"
    long_line "downloading" \
        'curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" -o "$MP3" "$V2M_URL/download?fid=$JOB"' \
        || give_up "the download was refused: $(cat -- "$answer" "$MP3" 2>/dev/null)"
}


# The mail about this job, once it is there.
show_mail() {
    local began=$SECONDS mail

    if [[ ! -d $V2M_MAILDIR/new ]]; then
        say "the mail went to $V2M_SMTP_URL"
        return
    fi

    until mail=$(find_mail); do
        ((SECONDS - began < 60)) \
            || give_up "no mail has come for a minute." \
                       "What does the notifier say?  ./v2mctl logs notifier"
        progress "           waiting for the mail, $((SECONDS - began)) s"
        sleep 0.2
    done
    progress_end

    type_line "cat $(short "$mail")"
    mail_text "$mail"
}


find_mail() {
    local mail

    while read -r mail; do
        if mail_text "$mail" | grep "$JOB" >/dev/null; then
            printf '%s' "$mail"
            return
        fi
    done < <(find "$V2M_MAILDIR/new" "$V2M_MAILDIR/cur" -type f \
        -newer "$demo/began" 2>/dev/null)
    return 1
}


# A mail as a mail program shows it.
mail_text() {
    python3 -c '
import email, email.policy, sys
mail = email.message_from_binary_file(open(sys.argv[1], "rb"),
                                      policy=email.policy.default)
for name in ("From", "To", "Subject"):
    print(f"{name}: {mail[name]}")
print()
print(mail.get_body(("plain", "html")).get_content().rstrip())' "$1"
}


summary() {
    local seconds rate

    {
        read -r seconds
        read -r rate
    } < <(ffprobe -v error -of default=nw=1:nk=1 \
        -show_entries format=duration,bit_rate "$MP3" 2>/dev/null)
    say "MP3        $MP3 ($(stat -c %s -- "$MP3") bytes)"
    if [[ ${rate:-} =~ ^[0-9]+$ ]]; then
        say "duration   $(LC_ALL=C printf '%.1f' "$seconds") s"
        say "bitrate    $((rate / 1000)) kbit/s"
    fi

    cat <<TEXT

The stack is up at $V2M_URL.  Try next:
  . $(short "$V2M_RUN/env")
  curl -su "\$V2M_USER:\$V2M_PASSWORD" -X POST "\$V2M_URL/login"
  curl "\$V2M_URL/readyz"
All calls: docs/api.md.  Stop it with:  make down
TEXT
}


main() {
    if [[ -n ${VIDEO:-} && ! -r $VIDEO ]]; then
        fail "VIDEO: $VIDEO cannot be read"
    fi

    export V2M_RUN=${V2M_RUN:-$top/run}
    [[ $V2M_RUN == /* ]] || V2M_RUN=$here/$V2M_RUN
    demo=$V2M_RUN/demo answer=$demo/answer

    heading "what is needed"
    if [[ ${PACKAGES:-} == no ]]; then
        say "packages   left as they are"
    else
        "$top/stack/packages.sh" run || exit 1
    fi

    heading "build"
    "${MAKE:-make}" -C "$top" --no-print-directory PACKAGES=no build \
        || fail "the build failed, as told above"

    heading "start the stack"
    "$top/v2mctl" up || fail "the stack did not start, as told above"

    heading "a video"
    choose_video
    export VIDEO
    touch "$demo/began"

    heading "log in"
    log_in

    heading "upload, and follow the job"
    upload
    follow

    heading "download the MP3"
    download

    heading "read the mail"
    show_mail

    say
    summary
}


main
