#include "cache-daemon/fill/filler.h"

#include <future>
#include <utility>
#include <vector>

#include "cache-daemon/fill/file_assembly.h"
#include "cache-daemon/fill/fill_scheduler.h"
#include "cache-daemon/fill/layers/layer_reads.h"
#include "cache-daemon/fill/warmer.h"

namespace weighhouse::fill {
namespace {

class FillerImpl final : public Filler {
 public:
  FillerImpl(FillerOptions options, const Parts& parts)
      : context_(std::make_shared<FillContext>(options, parts)),
        hashes_(std::make_unique<HashQueue>(options.hash_threads)),
        workers_(std::make_unique<WorkerPool>("fill", static_cast<int>(options.max_active_files))),
        scheduler_(std::make_shared<FillScheduler>(context_)),
        layers_(std::make_unique<LayerReads>(
            context_, [this](FillRequest request, std::weak_ptr<FillObserver> observer) {
              Join(std::move(request), std::move(observer));
            })) {
    context_->hashes = hashes_.get();
    context_->workers = workers_.get();
    if (options.warm) warmer_ = std::make_unique<Warmer>(parts.store);
    context_->warmer = warmer_.get();
    context_->on_buffers_freed = [weak = std::weak_ptr(scheduler_)] {
      if (std::shared_ptr<FillScheduler> scheduler = weak.lock()) scheduler->OnBuffersFreed();
    };
  }

  ~FillerImpl() override {
    context_->stop.request_stop();
    layers_.reset();
    std::vector<std::shared_ptr<StagedFile>> staged;
    RunOnLoop([&] {
      for (const std::weak_ptr<FileAssembly>& weak : context_->assemblies) {
        if (std::shared_ptr<FileAssembly> file = weak.lock()) staged.push_back(file->staged());
      }
      scheduler_->Stop();
    });
    warmer_.reset();
    workers_.reset();
    hashes_.reset();
    context_->disk_operations.WaitUntilIdle();
    // What the writers and hashers reported last is behind this in the queue; then no task of ours
    // is left there but timers, which find everything stopped.
    RunOnLoop([] {});
    for (const std::shared_ptr<StagedFile>& file : staged) file->RecordLast();
    RunOnLoop([&] { staged.clear(); });
  }

  void Fill(FillRequest request, std::weak_ptr<FillObserver> observer) override {
    layers_->Fill(std::move(request), std::move(observer));
  }

  void ReadLayers(LayerRequest request, std::weak_ptr<FillObserver> observer,
                  LayersDone done) override {
    layers_->Read(std::move(request), std::move(observer), std::move(done));
  }

  void Reconfigure(const FillerOptions& options) override {
    if (options.warm && !warmer_) warmer_ = std::make_unique<Warmer>(context_->parts.store);
    context_->stall_timeout = options.stall_timeout;
    RunOnLoop([&] {
      context_->governor.SetLimits(
          {.total = options.connections, .per_host = options.connections_per_host});
      context_->bandwidth.SetRate(options.bandwidth_limit);
      context_->warmer = options.warm ? warmer_.get() : nullptr;
    });
    if (!options.warm) warmer_.reset();
  }

  Activity CurrentActivity() const override {
    return {.fills = scheduler_->FillCount() + layers_->FlightCount(),
            .bytes_fetched = context_->bytes_fetched.load(std::memory_order_relaxed),
            .hosts = scheduler_->Hosts()};
  }

  std::optional<FillProgress> ProgressOf(const std::string& snapshot_id) const override {
    std::optional<FillProgress> filling = scheduler_->ProgressOf(snapshot_id);
    return filling ? filling : layers_->ProgressOf(snapshot_id);
  }

 private:
  void Join(FillRequest request, std::weak_ptr<FillObserver> observer) {
    auto shared = std::make_shared<FillRequest>(std::move(request));
    context_->parts.transport.Post(
        [scheduler = scheduler_, shared, observer = std::move(observer)]() mutable {
          scheduler->Join(std::move(*shared), std::move(observer));
        });
  }
  void RunOnLoop(const std::function<void()>& task) {
    std::promise<void> done;
    context_->parts.transport.Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  std::unique_ptr<HashQueue> hashes_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<Warmer> warmer_;                  // null: nothing is warmed
  const std::shared_ptr<FillScheduler> scheduler_;  // shared: timers and workers keep it
  std::unique_ptr<LayerReads> layers_;
};

}  // namespace

std::unique_ptr<Filler> Filler::Create(FillerOptions options, const Parts& parts) {
  return std::make_unique<FillerImpl>(options, parts);
}

}  // namespace weighhouse::fill
