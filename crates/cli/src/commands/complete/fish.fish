# Completion of taskyard for fish. Files are completed where taskyard has nothing to offer.
function __taskyard_complete
    set -l words (commandline -opc)
    set -l offers (taskyard complete --index (count $words) -- $words (commandline -ct) 2>/dev/null)
    if test (count $offers) -gt 0
        printf '%s\n' $offers
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c taskyard -f -a '(__taskyard_complete)'
