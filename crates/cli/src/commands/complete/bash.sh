# Completion of taskyard for bash. Files are completed where taskyard has nothing to offer.
_taskyard() {
    local IFS=$'\n'
    COMPREPLY=($(taskyard complete --index "$COMP_CWORD" -- "${COMP_WORDS[@]}" 2>/dev/null | cut -f1))
}
complete -o default -F _taskyard taskyard
