import ArgumentParser
import Foundation

/// Completion scripts that know the keys of the run file and their values beside the options of every command.
enum Completions {
  /// The script for a shell.
  static func script(for shell: CompletionShell) -> String {
    let script = LaspTrain.completionScript(for: shell)
    return switch shell {
    case .bash: bash(script)
    case .zsh: zsh(script)
    default: fish(script)
    }
  }

  /// What stands on a command line that asks for one: `--generate-completion-script bash`; nil where it asks for none.
  static func shell(in arguments: [String]) -> CompletionShell? {
    let option = "--generate-completion-script"
    guard let place = arguments.firstIndex(where: { $0 == option || $0.hasPrefix(option + "=") })
    else { return nil }
    let word =
      arguments[place] == option
      ? arguments.dropFirst(place + 1).first : String(arguments[place].dropFirst(option.count + 1))
    return word.flatMap { CompletionShell(rawValue: $0) }
  }

  /// Words between single quotes, as all three shells read them.
  private static func quoted(_ text: String) -> String {
    "'" + text.replacing("'", with: "’") + "'"
  }

  /// Names of keys, and a line of a `case` for each that has values to choose from.
  private static var cases: String {
    RunFileKey.all.compactMap { key in
      switch key.values {
      case .words(let words): "    --\(key.path)) echo \(quoted(words.joined(separator: " "))) ;;"
      case .files: "    --\(key.path)) echo '<file>' ;;"
      case .none: nil
      }
    }.joined(separator: "\n")
  }

  private static var names: String { RunFileKey.all.map { "--\($0.path)" }.joined(separator: " ") }

  private static func bash(_ script: String) -> String {
    let end = "complete -o filenames -F _lasp-train lasp-train"
    precondition(script.contains(end), "the script of swift-argument-parser ends otherwise")
    return script.replacing(end, with: "") + """
      __lasp_train_keys=\(quoted(names))

      __lasp_train_values() {
        case $1 in
      \(cases)
        esac
      }

      # Keys of the run file, which no command lists; all else is as above.
      __lasp_train() {
        local word=${COMP_WORDS[COMP_CWORD]} key='' values
        # Readline makes words of what stands on either side of an equals sign.
        if [[ $word == '=' ]]; then
          key=${COMP_WORDS[COMP_CWORD - 1]} word=''
        elif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == '=' ]]; then
          key=${COMP_WORDS[COMP_CWORD - 2]}
        elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == --*.* && $word != -* ]]; then
          key=${COMP_WORDS[COMP_CWORD - 1]}
        elif [[ $word == --*.*=* ]]; then
          key=${word%%=*} word=${word#*=}
        fi
        if [[ $key == --*.* || $key == --threads ]]; then
          values=$(__lasp_train_values "$key")
          if [[ $values == '<file>' ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
          else
            mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
          fi
          return
        fi
        if [[ $word == --*.* ]]; then
          compopt -o nospace 2>/dev/null
          mapfile -t COMPREPLY < <(compgen -S = -W "$__lasp_train_keys" -- "$word")
          return
        fi
        _lasp-train "$@"
        if [[ $word == --?* ]]; then
          mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$__lasp_train_keys" -- "$word")
        fi
      }

      complete -o filenames -F __lasp_train lasp-train

      """
  }

  private static func zsh(_ script: String) -> String {
    let end = "if [[ \"${funcstack[1]}\" = _lasp-train ]]"
    guard let place = script.range(of: end) else {
      preconditionFailure("the script of swift-argument-parser ends otherwise")
    }
    let described = RunFileKey.all.map { key in
      "  " + quoted("--\(key.path)=:\(key.schema.documentation.replacing(":", with: "\\:"))")
    }.joined(separator: "\n")
    return script[..<place.lowerBound] + """
      __lasp_train_keys=(
      \(described)
      )

      __lasp_train_values() {
        case $1 in
      \(cases)
        esac
      }

      # Keys of the run file, which no command lists; all else is as above.
      functions[__lasp_train_words]=$functions[_lasp-train]
      _lasp-train() {
        local key=''
        if [[ $PREFIX == --*.*=* ]]; then
          key=${PREFIX%%=*}
          compset -P '*='
        elif [[ ${words[CURRENT - 1]} == --*.* && ${words[CURRENT - 1]} != *=* && $PREFIX != -* ]]; then
          key=${words[CURRENT - 1]}
        fi
        if [[ -n $key ]]; then
          local values=$(__lasp_train_values $key)
          if [[ $values == '<file>' ]]; then _files; else compadd -- ${=values}; fi
          return
        fi
        if [[ $PREFIX == --?* ]]; then
          _describe -o 'key of the run file' __lasp_train_keys -S '' && [[ $PREFIX == --*.* ]] && return
        fi
        __lasp_train_words "$@"
      }


      """ + script[place.lowerBound...]
  }

  private static func fish(_ script: String) -> String {
    let lines = RunFileKey.all.map { key in
      let values =
        switch key.values {
        case .words(let words): "-x -a \(quoted(words.joined(separator: " ")))"
        case .files: "-r -F"
        case .none: "-x"
        }
      return
        "complete -c lasp-train -l \(key.path) \(values) -d \(quoted(key.schema.documentation))"
    }
    return script + "\n# Keys of the run file.\n" + lines.joined(separator: "\n") + "\n"
  }
}
