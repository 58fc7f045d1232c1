"""``sertools completion``: a script that completes commands, options and choices in bash and zsh."""

import argparse
import shlex

DOC = """Completion of commands and options in the shell, of sertools and of recipes.

    sertools completion bash >> ~/.bashrc
    sertools completion zsh >> ~/.zshrc

./run.sh and ./run_*.sh of a recipe complete the options that their --help lists.
"""

RECIPES = r"""
_sertools_recipe() {
  local word=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  if [[ $word == -* && -r ${COMP_WORDS[0]} ]]; then
    # what a recipe declares: option NAME DEFAULT HELP; those that several scripts have, in a function of a common file
    local names script=${COMP_WORDS[0]} common
    common=$(dirname "$script")/../common/stages/own.sh
    grep -qs '^own_options' "$script" || common=/dev/null
    names=$(sed -n 's/^ *option \([a-z0-9_]*\) .*/--\1/p' "$script" "$common" | tr _ -)
    COMPREPLY=($(compgen -W "$names --stage --stop-stage --submit --help" -- "$word"))
  fi
}
complete -o default -o bashdefault -F _sertools_recipe run.sh ./run.sh run_s2.sh ./run_s2.sh run_s3.sh ./run_s3.sh \
  run_s4.sh ./run_s4.sh run_s5.sh ./run_s5.sh
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sertools completion``."""
    command.add_argument("shell", choices=("bash", "zsh"), help="which shell")


def show(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    print(script(options.shell, options.commands), end="")
    return 0


def script(shell: str, commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> str:
    """The script, out of the parsers themselves."""
    cases = []
    for name, parser in commands.choices.items():
        options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
        cases.append(f"    {name}) words={shlex.quote(' '.join(options))} ;;")
        for action in parser._actions:
            if action.option_strings and action.choices:
                choices = shlex.quote(" ".join(map(str, action.choices)))
                cases.append(f"    {name}:{action.option_strings[-1]}) words={choices} ;;")
    first = shlex.quote(" ".join([*commands.choices, "--help", "--version"]))
    lines = [
        "_sertools() {",
        '  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=',
        "  COMPREPLY=()",
        f"  if [ \"$COMP_CWORD\" = 1 ]; then words={first}; fi",
        '  if [ "$COMP_CWORD" -gt 1 ] && [[ $word == -* ]]; then case $command in',
        *(line for line in cases if ":--" not in line),
        "  esac; fi",
        '  case $command:$before in',
        *(line for line in cases if ":--" in line),
        "  esac",
        '  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word")); fi',
        "}",
        "complete -o default -o bashdefault -F _sertools sertools",
    ]  # fmt: skip
    # its own completion may have been started by the lines before, and bash's needs it
    own = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n"
    start = f"{own}autoload -Uz +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return start + "\n".join(lines) + "\n" + RECIPES.lstrip("\n")
