#include "test/csi/fake_mounter.h"

#include "test/csi/mounter_contract.h"

namespace weighhouse::csi {
namespace {

class FakeMounterContract : public MounterContract {
 protected:
  std::unique_ptr<Mounter> MakeMounter(const std::string& /*empty*/) override {
    return std::make_unique<FakeMounter>();
  }
};
WEIGHHOUSE_MOUNTER_CONTRACT(FakeMounterContract);

}  // namespace
}  // namespace weighhouse::csi
