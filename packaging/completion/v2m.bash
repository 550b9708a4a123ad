# Completion of v2m for bash: commands, options, and files where files go.

_v2m() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command= i
    local options='--json --quiet --help'
    local conversion='--bitrate= --quality= --track= --start= --end=
        --samplerate= --channels= --loudnorm --webhook='

    COMPREPLY=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            login | logout | convert | upload | status | wait | download \
                | list | delete) command=${COMP_WORDS[i]}; break ;;
        esac
    done

    case $command in
        convert | upload) options+=" $conversion --parallel= --resumable=" ;;
        download) options+=' --output= --parallel=' ;;
    esac

    case $before in
        -o | --output)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            compopt -o filenames 2>/dev/null
            return
            ;;
        -j | --parallel)
            return
            ;;
    esac

    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        # a value comes next, without a space
        [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'login logout convert upload status
            wait download list delete' -- "$word")
    elif [[ $command == convert || $command == upload ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        compopt -o filenames 2>/dev/null
    fi
}

complete -F _v2m v2m
