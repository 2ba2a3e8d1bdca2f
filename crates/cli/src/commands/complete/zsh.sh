#compdef taskyard
# Completion of taskyard for zsh. Files are completed where taskyard has nothing to offer.
_taskyard() {
    local line
    local -a offers
    for line in "${(@f)$(taskyard complete --index $((CURRENT - 1)) -- "${words[@]}" 2>/dev/null)}"; do
        [[ -n $line ]] && offers+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#offers )); then _describe -V taskyard offers; else _files; fi
}
if [[ $funcstack[1] == _taskyard ]]; then _taskyard "$@"; else compdef _taskyard taskyard; fi
