"""Scripts that complete the command `keras-transformer`, one a shell."""


def completion_script(shell: str, words: dict[str, list[str]]) -> str:
    """The script of a shell; when it is read, nothing of this package runs.

    Args:
        shell: `"bash"`, `"zsh"` or `"fish"`.
        words: Dictionary from words after the command, joined by spaces, to the list of those that
            may come next. Where there are none, and after a flag, names of files are completed.

    Returns:
        str.

    Example:

    >>> script = completion_script("fish", {"": ["copy"], "copy": ["translation"]})
    >>> print(script[script.index("    switch") : script.index("    end")])
        switch "$before "
            case 'copy *'
                set found translation
            case ' *'
                set found copy
    <BLANKLINE>
    """
    row, script = SCRIPTS[shell]
    # Those with more words first: a shell takes the first that fits.
    rows = sorted(words.items(), key=lambda item: -len(item[0].split()))
    return script % "\n".join(row % (before, " ".join(found)) for before, found in rows)


# shell: (a row, of what came before and of what may come next, the script around all rows).
SCRIPTS = {
    "bash": (
        '        "%s "*) found="%s" ;;',
        r"""# To be read by bash at its start, or in its folder of completions.
_keras_transformer() {
    local IFS=$' \t\n' found=
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    COMPREPLY=()
    case "${COMP_WORDS[*]:1:COMP_CWORD-1} " in
%s
    esac
    if [[ $current == -* || $previous != [-=]* ]]; then
        COMPREPLY=($(compgen -W "$found" -- "$current"))
    fi
}
complete -o default -F _keras_transformer keras-transformer
""",
    ),
    "zsh": (
        '        "%s "*) found=(%s) ;;',
        r"""#compdef keras-transformer
# To be read by zsh after compinit, or as _keras-transformer in a folder of its fpath.
_keras-transformer() {
    local -a found
    case "${(j: :)words[2,CURRENT-1]} " in
%s
    esac
    if [[ $words[CURRENT] == -* || $words[CURRENT-1] != -* ]] && (( $#found )); then
        compadd -a found
    else
        _files
    fi
}
compdef _keras-transformer keras-transformer
if [[ $funcstack[1] == _keras-transformer ]]; then
    _keras-transformer "$@"
fi
""",
    ),
    "fish": (
        "        case '%s *'\n            set found %s",
        r"""# To be read by fish at its start, or in its folder of completions.
function __keras_transformer
    set -l found
    set -l before (commandline -opc)
    set -e before[1]
    set -l current (commandline -ct)
    switch "$before "
%s
    end
    set -l value no
    string match -q -- '-*' "$before[-1]"; and set value yes
    string match -q -- '-*' "$current"; and set value no
    if test $value = no -a -n "$found"
        string join -- \n $found
    else
        __fish_complete_path "$current"
    end
end
complete -c keras-transformer -f -a '(__keras_transformer)'
""",
    ),
}
