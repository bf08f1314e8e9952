import torch
from torch import nn
from torch.distributions import Categorical


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.common = nn.Linear(4, 8)
        self.policy = nn.Linear(8, 3)
        self.value = nn.Linear(8, 1)

    def forward(self, obs):
        h = torch.tanh(self.common(obs))
        return self.policy(h), self.value(h)


class RMSpropLikeTensorFlow(torch.optim.Optimizer):
    def __init__(self, params, lr, alpha, eps):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                square = self.state[p].setdefault("square_avg", torch.zeros_like(p))
                square.mul_(group["alpha"]).addcmul_(p.grad, p.grad, value=1 - group["alpha"])
                p.addcdiv_(p.grad, (square + group["eps"]).sqrt(), value=-group["lr"])


def model():
    return ActorCritic()


def optimizer(model):
    return RMSpropLikeTensorFlow(model.parameters(), lr=7e-3, alpha=0.99, eps=1e-5)


def step(model, optimizer, batch):
    logits, values = model(batch["state"])
    distribution = Categorical(logits=logits)
    advantage = batch["reward"] - values.squeeze(-1)
    policy = -(distribution.log_prob(batch["action"]) * advantage.detach()).mean()
    value = advantage.pow(2).mean()
    entropy = distribution.entropy().mean()
    optimizer.zero_grad()
    (policy + 0.5 * value - 0.01 * entropy).backward()
    optimizer.step()
    return {"policy": policy, "value": value, "entropy": entropy}
