#include "csi/protections.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/log.h"

namespace weighhouse::csi {
namespace {

void Log(std::string_view name, const ProtectionFinding& finding) {
  if (finding.holds) {
    spdlog::info("self-test: root can't write through an {}", name);
  } else {
    LogRepeated(LogLevel::kWarning,
                fmt::format("self-test: an {} doesn't keep root from writing here: {}", name,
                            finding.reason));
  }
}

void LogScratch(const ProtectionFinding& finding) {
  if (finding.holds) {
    spdlog::info("self-test: `access: scratch` works, and leaves what is shared as it is");
  } else {
    LogRepeated(LogLevel::kWarning,
                fmt::format("self-test: volumes with `access: scratch` are refused {}: {}",
                            finding.MayHoldLater() ? "for now" : "here", finding.reason));
  }
}

/// The refusal of a scratch volume on a node where `reason` forbids it.
Error NoScratch(std::string_view reason) {
  return {.code = Code::kFailedPrecondition,
          .message = fmt::format("`access: scratch` does not work on this node ({}): let the pod "
                                 "run on another one, or have the volume read-only by `access: "
                                 "readOnly` or `readOnly: true`",
                                 reason)};
}

}  // namespace

Result<Protection> ChooseProtection(const ProtectionFindings& findings, bool readonly,
                                    SelinuxState selinux) {
  if (readonly) return Protection::kReadOnlyBind;
  if (selinux == SelinuxState::kOff && findings.idmapped_bind.holds) {
    return Protection::kIdmappedBind;
  }
  if (findings.overlay.holds) return Protection::kOverlay;
  std::string idmapped = selinux == SelinuxState::kOn ? "SELinux would relabel its files"
                                                      : findings.idmapped_bind.reason;
  return Fail(Code::kFailedPrecondition,
              fmt::format("this node can't keep a container from writing to a volume that isn't "
                          "readOnly (idmapped bind: {}; overlay: {}): set `readOnly: true` on the "
                          "volume",
                          idmapped, findings.overlay.reason));
}

std::string EmptyDirectory(const std::string& scratch_directory) {
  return scratch_directory + "/empty";
}

Result<> Protections::Ensure() {
  bool tested = false;
  bool again = false;
  {
    MutexLock lock(mutex_);
    tested = findings_.has_value();
    again = tested && findings_->scratch.MayHoldLater();
  }
  if (!tested) return TestAll();
  return again ? TestScratchAgain() : Result<>();
}

Result<> Protections::TestScratchAgain() {
  Result<ProtectionFinding> finding =
      TestProtection(mounter_, scratch_directory_, Protection::kScratch);
  if (!finding) return std::unexpected(std::move(finding).error().Within("self-test"));
  MutexLock lock(mutex_);
  bool news = finding->holds || finding->reason != findings_->scratch.reason;
  if (news) LogScratch(*finding);
  findings_->scratch = std::move(*finding);
  return {};
}

Result<> Protections::TestAll() {
  Result<ProtectionFindings> findings = TestProtections(mounter_, scratch_directory_);
  MutexLock lock(mutex_);
  if (!findings) {
    failure_ = findings.error().message;
    return std::unexpected(std::move(findings).error().Within("self-test"));
  }
  findings_ = *findings;
  Log(ProtectionName(Protection::kIdmappedBind), findings->idmapped_bind);
  Log(ProtectionName(Protection::kOverlay), findings->overlay);
  LogScratch(findings->scratch);
  return {};
}

Result<Protection> Protections::Choose(bool readonly, SelinuxState selinux) const {
  MutexLock lock(mutex_);
  if (readonly) return Protection::kReadOnlyBind;
  if (!findings_) return std::unexpected(NotTested());
  return ChooseProtection(*findings_, readonly, selinux);
}

Result<> Protections::CheckOverlay() const {
  MutexLock lock(mutex_);
  if (findings_ && findings_->overlay.holds) return {};
  return Fail(Code::kUnimplemented, findings_ ? findings_->overlay.reason : failure_);
}

Result<> Protections::CheckScratch() const {
  MutexLock lock(mutex_);
  if (!findings_) return std::unexpected(NotTested());
  const ProtectionFinding& scratch = findings_->scratch;
  if (scratch.holds) return {};
  if (!scratch.MayHoldLater()) return std::unexpected(NoScratch(scratch.reason));
  return Fail(Code::kUnavailable,
              fmt::format("the plugin's self-test of `access: scratch` failed, and is made again "
                          "soon: {}",
                          scratch.reason));
}

Error Protections::NotTested() const {
  return {.code = Code::kUnavailable,
          .message = fmt::format("the plugin's self-test could not be made: {}", failure_)};
}

}  // namespace weighhouse::csi
