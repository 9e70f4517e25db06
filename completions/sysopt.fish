# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sysopt_global_optspecs
    string join \n C/base= c/config= n/dry-run format= q/quiet v/verbose color= no-progress lock-wait= threads= h/help V/version
end

function __fish_sysopt_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sysopt_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sysopt_using_subcommand
    set -l cmd (__fish_sysopt_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sysopt -n "__fish_sysopt_needs_command" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_needs_command" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_needs_command" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_needs_command" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_needs_command" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_needs_command" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_needs_command" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_needs_command" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_needs_command" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_needs_command" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sysopt -n "__fish_sysopt_needs_command" -s V -l version -d 'Print version'
complete -c sysopt -n "__fish_sysopt_needs_command" -f -a "cycle" -d 'Run every operation that is due, in order'
complete -c sysopt -n "__fish_sysopt_needs_command" -f -a "archive-models" -d 'Move old models into the archive'
complete -c sysopt -n "__fish_sysopt_needs_command" -f -a "restore-models" -d 'List, verify and restore archived models'
complete -c sysopt -n "__fish_sysopt_needs_command" -f -a "rotate-logs" -d 'Rotate, compress and expire logs'
complete -c sysopt -n "__fish_sysopt_needs_command" -f -a "clean-cache" -d 'Remove the least recently used cache files, down to a budget'
complete -c sysopt -n "__fish_sysopt_needs_command" -f -a "status" -d 'Show the machine, what is due, and the history'
complete -c sysopt -n "__fish_sysopt_needs_command" -f -a "config" -d 'Show the configuration and where each value is from'
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l only -d 'Run only OP: garbage, cache, logs, models, agents, processes' -r -f -a "garbage\t'Collect garbage'
cache\t'Clean the caches'
logs\t'Rotate, compress and expire logs'
models\t'Archive models'
agents\t'Look at the agents'
processes\t'Look at all processes'"
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l skip -d 'Leave OP out (both are repeatable)' -r -f -a "garbage\t'Collect garbage'
cache\t'Clean the caches'
logs\t'Rotate, compress and expire logs'
models\t'Archive models'
agents\t'Look at the agents'
processes\t'Look at all processes'"
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l timeout -d 'Stop after that long' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l force -d 'Run every operation now, due or not'
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_using_subcommand cycle" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l older-than -d 'Archive what was not used for that long' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l age-by -d 'Age since it was used or modified' -r -f -a "used\t'The later of modified and read; the default'
modified\t'Modified, alone'"
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l max-archived -d 'Keep N versions of each model; 0 keeps all' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l compress -d 'Compress: none, gzip or zstd' -r -f -a "none\t'Not at all'
gzip\t'As gzip does, to .gz'
zstd\t'As zstd does, to .zst'"
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l explain -d 'Say what would happen to PATH, and why' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_using_subcommand archive-models" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l to -d 'Restore into DIR, not to the original place' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l list -d 'List names, versions, dates and sizes (the default)'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l verify -d 'Verify the sha256 of every archived file'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l all -d 'Restore the newest version of every model'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_using_subcommand restore-models" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l max-size -d 'Rotate a log of this size or more' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l keep -d 'Keep N rotated files of each log; 0 keeps all' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l compress -d 'Compress: none, gzip or zstd' -r -f -a "none\t'Not at all'
gzip\t'As gzip does, to .gz'
zstd\t'As zstd does, to .zst'"
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l mode -d 'How: auto, rename, copy-truncate or punch' -r -f -a "auto\t'Rename it where no program has it open for writing, else keep it; the default'
rename\t'Rename it and create a new one, for writers that reopen'
copy-truncate\t'Copy it and cut it, for writers that append and never reopen'
punch\t'Copy it and free its blocks, for every writer; its length stays'"
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l explain -d 'Say what would happen to PATH, and why' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l force -d 'Rotate every log that is not empty'
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_using_subcommand rotate-logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l max-size -d 'The budget of each directory' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l preserve-recent -d 'Never remove what was used since then' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l max-age -d 'Remove what was not used for that long' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l explain -d 'Say what would happen to PATH, and why' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_using_subcommand clean-cache" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -l history -d 'Show the last N cycles, or 10' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -l agents -d 'Show more of the agents, in JSON'
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -l check -d 'Check FILE and say what is wrong with it, and where' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -s C -l base -d 'What relative paths are relative to' -r -f -a "(__fish_complete_directories)"
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -s c -l config -d 'This configuration file' -r -F
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -l format -d 'Report as text, json or prometheus' -r -f -a "text\t'For people; the default'
json\t'One JSON document, also when the run fails'
prometheus\t'The text format of Prometheus, for status'"
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'Where the output is a terminal; the default'
always\t'Also in files and pipes'
never\t'Nowhere'"
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -l lock-wait -d 'Wait that long for another sysopt on the same directories' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -l threads -d 'Use at most N threads, at least 1' -r
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -l init -d 'Write a commented sysopt.toml, never over one'
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -s n -l dry-run -d 'Print the plan, change nothing'
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -s q -l quiet -d 'Print nothing when all went well, for cron'
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -s v -l verbose -d 'List every item, also what was kept'
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -l no-progress -d 'Show no progress bar'
complete -c sysopt -n "__fish_sysopt_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
