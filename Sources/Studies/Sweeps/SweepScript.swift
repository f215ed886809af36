import Foundation
import Tensors

/// A script for Slurm: an array with a task for each run of a sweep.
struct SweepScript {
  private let sweep: Sweep
  private let plan: SweepPlan

  init(_ sweep: Sweep, _ plan: SweepPlan) { (self.sweep, self.plan) = (sweep, plan) }

  /// The words that a task runs, before the number of its run.
  private var command: String {
    let options =
      ["--output", sweep.folder.path]
      + (sweep.launcher.map { ["--launcher", $0] } ?? [])
      + (sweep.retries ? ["--retry"] : []) + (sweep.overwrites ? ["--overwrite"] : [])
      + sweep.overrides.map { "--\($0)" }
    return ([RunningProgram.path, "sweep", sweep.file] + options).map(MachineFacts.quoted)
      .joined(separator: " ")
  }

  /// The script.
  var text: String {
    let name = URL(fileURLWithPath: sweep.file).deletingPathExtension().lastPathComponent
    let folder = sweep.folder.path
    return """
      #!/usr/bin/env bash
      # The runs of \(sweep.file) as a Slurm array, a task a run, \(plan.section.jobs) at once: keep this as a file, change what
      # your cluster wants otherwise, and give it to sbatch in the folder that paths are relative to.
      # A task that runs out of time leaves a checkpoint and is put back, and so it is when something more important needs its node;
      # submitted again, the array goes on with what is left. scancel ends it, with checkpoints.
      # lasp-train runs list \(folder) shows how far the runs are; lasp-train runs compare \(folder) what came of them.
      #SBATCH --job-name=\(SweepChoice.plain(name))
      #SBATCH --array=1-\(plan.runs.count)%\(plan.section.jobs)
      #SBATCH --ntasks=\(plan.section.ranks)
      #SBATCH --cpus-per-task=1
      #SBATCH --time=04:00:00
      #SBATCH --output=\(SweepChoice.plain(name))-%A-%a.out
      #SBATCH --open-mode=append
      #SBATCH --requeue
      #SBATCH --signal=B:USR1@300
      set -uo pipefail

      cd "${SLURM_SUBMIT_DIR:?is set by Slurm: start this script with sbatch}" || exit
      \(command) --only "$SLURM_ARRAY_TASK_ID" &
      task=$!
      cancelled=''
      signalled=yes
      trap 'signalled=yes; kill -USR1 "$task"' USR1
      trap 'signalled=yes cancelled=yes; kill -USR1 "$task"' TERM
      while [[ $signalled ]]; do  # the signal ends the wait, not the run
        signalled=''
        code=0
        wait "$task" || code=$?
      done
      # 75: the run has stopped with a checkpoint. By TERM Slurm ends the job, and puts it back itself where that is meant.
      if [[ ! $cancelled ]] && ((code == 75)); then
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
      fi
      exit "$code"

      """
  }
}
